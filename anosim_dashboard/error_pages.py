"""What Django's error pages may show. Not in redaction.py: beat loads that one, and has no use for Django's views."""

from django.views.debug import SafeExceptionReporterFilter


class HideAlways(SafeExceptionReporterFilter):
    """Error pages hide what is typed into secret fields, with DEBUG on too."""

    def is_active(self, request: object) -> bool:
        return True
