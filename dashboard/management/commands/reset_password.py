"""A new password for who forgot theirs, where no mail is set up; and a way in for who lost their second factor."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.urls import reverse

from anosim_dashboard.environment import env
from dashboard.models import User
from dashboard.sign_in import recording, sessions


class Command(BaseCommand):
    help = (
        "Set a new password for a person and print it, once; all their sessions end. With --link print a link instead, "
        "by which they set one themselves."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="user name")
        parser.add_argument("--link", action="store_true", help="print a link that works once, for an hour")
        parser.add_argument(
            "--without-mfa", action="store_true", help="also remove their second factors and recovery codes"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(username=options["name"]).first()
        if person is None:
            raise CommandError(f"There is nobody with the user name {options['name']!r}.")
        if options["without_mfa"]:
            _remove_factors(person)
            self.stdout.write(f"The second factors of {person.username} are removed.")
        if options["link"]:
            recording.note(None, "password.link_made", person)
            self.stdout.write(f"Link for {person.username}, works once and for an hour: {_link(person)}")
            return
        self.stdout.write(f"New password of {person.username}: {_new_password(person)}")
        if not person.is_active:
            self.stdout.write("This person is switched off and cannot sign in; switch them on in the admin panel.")


@transaction.atomic
def _new_password(person: User) -> str:
    password = secrets.token_urlsafe(12)
    person.set_password(password)
    person.save(update_fields=["password"])
    sessions.end_sessions(person)
    recording.note(None, "password.reset", person, {"by": "command line"})
    return password


@transaction.atomic
def _remove_factors(person: User) -> None:
    Authenticator.objects.filter(user=person).delete()
    sessions.end_sessions(person)
    recording.note(None, "second_factor.removed", person, {"kind": "all", "by": "command line"})


def _link(person: User) -> str:
    key = default_token_generator.make_token(person)
    path = reverse("account_reset_password_from_key", args=[user_pk_to_url_str(person), key])
    own = f"http://{env('HOST', '127.0.0.1')}:{env('PORT', '8000')}"
    return (settings.CSRF_TRUSTED_ORIGINS or [own])[0] + path
