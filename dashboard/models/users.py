from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class User(AbstractUser):
    """A person. What they may do is said by their memberships; `is_superuser` is the admin."""

    class Theme(models.TextChoices):
        SYSTEM = "", _("As the system")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    class Language(models.TextChoices):
        BROWSER = "", _("As this browser has it")
        ENGLISH = "en", "English"
        GERMAN = "de", "Deutsch"

    class NotifyAbout(models.TextChoices):
        """Whose SMS the person is told of by title, sound and notification."""

        MINE = "mine", pgettext_lazy("told of", "My bookings")
        ALL = "all", pgettext_lazy("told of", "All bookings")
        NONE = "none", pgettext_lazy("told of", "Nothing")

    theme = models.CharField(max_length=5, choices=Theme.choices, default=Theme.SYSTEM, blank=True)
    time_zone = models.CharField(max_length=64, blank=True, help_text=_("Empty: the time zone of the browser."))
    language = models.CharField(
        max_length=5, choices=Language.choices, default=Language.BROWSER, db_default=Language.BROWSER.value, blank=True
    )
    notify_about = models.CharField(max_length=4, choices=NotifyAbout.choices, default=NotifyAbout.MINE)

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        # An admin sees all accounts without a membership. A sign-in saves one field and is passed over.
        if self.is_superuser and kwargs.get("update_fields") is None:
            from .accounts import Account
            from .reading import ReadMark

            ReadMark.objects.begin(self.pk, Account.objects.exclude(read_marks__user=self).values_list("pk", flat=True))

    @cached_property
    def roles(self) -> dict[int, str]:
        """Role by id of the accounts that this person may read; an admin has the manager's in all of them.

        One query in the life of the object, which is one request.
        """
        from .accounts import Account, Membership

        if not self.is_active:
            return {}
        if self.is_superuser:
            return dict.fromkeys(Account.objects.order_by("pk").values_list("pk", flat=True), Membership.Role.MANAGER)
        return dict(Membership.objects.filter(user=self).order_by("account").values_list("account_id", "role"))

    @property
    def visible_account_ids(self) -> tuple[int, ...]:
        """Ids of the accounts that this person may read."""
        return tuple(self.roles)
