"""What Django's error pages may show. Apart from redaction.py, which beat loads and which must not load Django's views."""

from django.views.debug import SafeExceptionReporterFilter


class HideAlways(SafeExceptionReporterFilter):
    """Error pages hide what is typed into secret fields, with DEBUG on too."""

    def is_active(self, request: object) -> bool:
        return True
