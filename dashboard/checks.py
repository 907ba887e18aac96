"""System checks of our own settings, with stable ids."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from . import encryption


@checks.register
def field_keys_seal(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """dashboard.E001: without a usable field key no API key can be stored."""
    try:
        encryption.unseal(encryption.seal("probe", "check"), "check")
    except (ImproperlyConfigured, encryption.CannotUnseal):
        hint = "Set FIELD_KEYS to at least one long random text."
        return [checks.Error("FIELD_KEYS cannot seal.", hint=hint, id="dashboard.E001")]
    return []


@checks.register(deploy=True)
def secret_key_is_not_a_field_key(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """dashboard.W001: changing SECRET_KEY must not make the API keys unreadable."""
    if settings.SECRET_KEY in settings.FIELD_KEYS:
        hint = "Use keys of their own for FIELD_KEYS."
        return [checks.Warning("SECRET_KEY is also in FIELD_KEYS.", hint=hint, id="dashboard.W001")]
    return []
