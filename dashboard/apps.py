from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DashboardConfig(AppConfig):
    name = "dashboard"
    verbose_name = "ANOSIM"

    def ready(self) -> None:
        from . import audit_guard, checks, search_index  # noqa: F401 (checks registers the system checks)
        from .column_names import translate_columns
        from .sign_in import recording

        recording.connect()
        translate_columns(self)
        post_migrate.connect(audit_guard.after_migrations, sender=self, dispatch_uid="audit guard")
        post_migrate.connect(search_index.ensure, sender=self, dispatch_uid="search index")
