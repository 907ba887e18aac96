"""Rotation of the field keys: everything moves to the newest key, nothing is lost, nothing is shown."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from dashboard import encryption
from dashboard.management.commands import rotate_field_keys
from dashboard.models import Account, AlertChannel, User

from .factories import make_account

KEY = "rotating-key-0123456789"


def rotate() -> str:
    out = StringIO()
    call_command("rotate_field_keys", stdout=out)
    return out.getvalue()


def test_afterwards_the_old_key_is_not_needed(db: None) -> None:
    with override_settings(FIELD_KEYS=["old"]):
        account = make_account("Shop", api_key=KEY)
        fingerprint_key = account.fingerprint_key
    with override_settings(FIELD_KEYS=["new", "old"]):
        said = rotate()
    with override_settings(FIELD_KEYS=["new"]):
        stored = Account.objects.get(pk=account.pk)
        assert stored.api_key == KEY
        assert stored.fingerprint_key == fingerprint_key
    assert said.splitlines() == [
        "Shop: API key sealed with the newest key.",
        "Shop: fingerprint key sealed with the newest key.",
        "2 secrets resealed.",
    ]
    assert KEY not in said


def test_alerts_still_find_their_way_with_the_new_key_alone(db: None) -> None:
    address = "json://hooks.example.org/hidden-password"
    with override_settings(FIELD_KEYS=["old"]):
        channel = AlertChannel(user=User.objects.create_user("ada"), name="Our chat")
        channel.address = address
        channel.save()
    with override_settings(FIELD_KEYS=["new", "old"]):
        said = rotate()
    with override_settings(FIELD_KEYS=["new"]):
        assert AlertChannel.objects.get(pk=channel.pk).address == address
    assert "Alert channel Our chat of ada: address sealed with the newest key." in said
    assert "hidden-password" not in said


def test_nothing_else_of_the_account_is_touched(db: None) -> None:
    account = make_account("Shop", api_key=KEY)
    Account.objects.filter(pk=account.pk).update(key_ok=True, key_verdict="The key works.")
    before = Account.objects.filter(pk=account.pk).values().get()
    rotate()
    after = Account.objects.filter(pk=account.pk).values().get()
    changed = {name for name, value in before.items() if value != dict(after)[name]}
    assert changed == {"sealed_key", "sealed_fingerprint_key"}


def test_an_account_without_a_key_is_no_obstacle(db: None) -> None:
    make_account("Shop", api_key="")
    assert rotate().splitlines()[-1] == "1 secret resealed."


def test_what_no_key_opens_is_left_and_named_and_the_rest_is_done(db: None) -> None:
    with override_settings(FIELD_KEYS=["lost"]):
        lost = make_account("Alpha", api_key=KEY)
    with override_settings(FIELD_KEYS=["old"]):
        kept = make_account("Beta", api_key=KEY)
    sealed = lost.sealed_key
    with (
        override_settings(FIELD_KEYS=["new", "old"]),
        pytest.raises(CommandError, match="Alpha: the API key") as caught,
    ):
        rotate()
    assert KEY not in str(caught.value)
    assert Account.objects.get(pk=lost.pk).sealed_key == sealed
    with override_settings(FIELD_KEYS=["new"]):
        assert Account.objects.get(pk=kept.pk).api_key == KEY


def test_a_key_that_is_replaced_meanwhile_is_not_overwritten(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    account = make_account("Shop", api_key=KEY)
    real = encryption.reseal
    calls: list[Any] = []

    def reseal(token: str) -> str:
        if not calls:
            replaced = Account.objects.get(pk=account.pk)
            replaced.api_key = "another-key-9876543210"
            replaced.save(update_fields=["sealed_key"])
        calls.append(token)
        return real(token)

    monkeypatch.setattr(rotate_field_keys.encryption, "reseal", reseal)
    rotate()
    assert Account.objects.get(pk=account.pk).api_key == "another-key-9876543210"
