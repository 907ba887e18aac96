import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def chain_what_is_there(apps, schema_editor):
    """Events of earlier releases get the name of who did it, their kind, and their place in a chain."""
    from dashboard import audit_chain, audit_text
    from dashboard.models.audit import kind_of

    Event, Head = apps.get_model('dashboard', 'AuditEvent'), apps.get_model('dashboard', 'AuditHead')
    names = dict(apps.get_model('dashboard', 'User').objects.values_list('pk', 'username'))
    heads = {}
    for event in Event.objects.order_by('pk').iterator(chunk_size=500):
        chain = event.account_id or audit_chain.NO_ACCOUNT
        if chain not in heads:
            sealed = audit_chain.new_sealed_key(chain)
            heads[chain] = [audit_chain.open_key(sealed, chain), sealed, 0, '']
        key, _, seq, previous = heads[chain]
        event.chain, event.seq, event.previous = chain, seq + 1, previous
        event.user_name = audit_text.line(names.get(event.user_id, ''), 150)
        event.kind = str(kind_of(event.action))
        event.object_text = audit_text.line(event.object_text, 200)
        event.details = audit_text.details(event.details)
        event.address = audit_text.address(event.address)
        values = (
            event.chain, event.seq, audit_chain.moment(event.at), event.user_id, event.user_name, event.role,
            event.account_id, event.kind, event.action, event.object_type, event.object_id, event.object_text,
            event.details, event.address, event.device, event.request_id,
        )
        event.hash = audit_chain.link(key, previous, values)
        event.save()
        heads[chain][2:] = [event.seq, event.hash]
    if heads:
        sealed = audit_chain.new_sealed_key(audit_chain.ROOT)
        heads[audit_chain.ROOT] = [audit_chain.open_key(sealed, audit_chain.ROOT), sealed, len(heads), '']
    for chain, (key, sealed, seq, newest) in heads.items():
        mac = audit_chain.head_mac(key, chain, seq, newest)
        Head.objects.create(chain=chain, seq=seq, hash=newest, sealed_key=sealed, mac=mac)


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0004_heartbeat'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditHead',
            fields=[
                ('chain', models.BigIntegerField(primary_key=True, serialize=False)),
                ('seq', models.BigIntegerField(default=0)),
                ('hash', models.CharField(blank=True, max_length=64)),
                ('sealed_key', models.TextField()),
                ('mac', models.CharField(blank=True, max_length=64)),
            ],
        ),
        migrations.AddField(
            model_name='auditevent',
            name='chain',
            field=models.BigIntegerField(default=0, editable=False),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='auditevent',
            name='device',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='auditevent',
            name='hash',
            field=models.CharField(default='', editable=False, max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='auditevent',
            name='kind',
            field=models.CharField(choices=[('purchases', 'Purchases'), ('bookings', 'Bookings'), ('people', 'People and keys'), ('sign-in', 'Sign-in'), ('exports', 'Exports'), ('denied', 'Denied access'), ('other', 'Everything else')], default='other', editable=False, max_length=10),
        ),
        migrations.AddField(
            model_name='auditevent',
            name='object_id',
            field=models.CharField(blank=True, max_length=40),
        ),
        migrations.AddField(
            model_name='auditevent',
            name='object_type',
            field=models.CharField(blank=True, max_length=30),
        ),
        migrations.AddField(
            model_name='auditevent',
            name='previous',
            field=models.CharField(default='', editable=False, max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='auditevent',
            name='request_id',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name='auditevent',
            name='role',
            field=models.CharField(blank=True, choices=[('admin', 'Admin'), ('manager', 'Manager'), ('operator', 'Operator'), ('viewer', 'Viewer'), ('', '–'), ('visitor', 'Not signed in'), ('machine', 'By itself'), ('console', 'Command line')], default='', max_length=10),
        ),
        migrations.AddField(
            model_name='auditevent',
            name='seq',
            field=models.BigIntegerField(default=0, editable=False),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='auditevent',
            name='user_name',
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AlterField(
            model_name='auditevent',
            name='account',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='dashboard.account'),
        ),
        migrations.AlterField(
            model_name='auditevent',
            name='object_text',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AlterField(
            model_name='auditevent',
            name='user',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.RunPython(chain_what_is_there, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['account', 'at'], name='audit_of_account'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['user', 'at'], name='audit_of_person'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['kind', 'at'], name='audit_of_kind'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['account', 'kind', 'at'], name='audit_of_account_kind'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['object_type', 'object_id', 'at'], name='audit_of_object'),
        ),
        migrations.AddConstraint(
            model_name='auditevent',
            constraint=models.UniqueConstraint(fields=('chain', 'seq'), name='audit_seq_once'),
        ),
    ]
