from django.db import migrations, models

from dashboard.schema import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('dashboard', '0010_read_marks'),
    ]

    operations = [
        AddIndexBeside(
            model_name='auditevent',
            index=models.Index(fields=['user', 'account', 'at'], name='audit_of_person_in_account'),
        ),
    ]
