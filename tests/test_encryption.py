"""Sealing at rest: what the field keys promise."""

import pytest
from django.test import override_settings

from dashboard import encryption
from dashboard.models import Account

from .factories import make_account


def test_a_sealed_value_opens_for_its_own_row_only() -> None:
    token = encryption.seal("secret", "row 1")
    assert encryption.unseal(token, "row 1") == "secret"
    with pytest.raises(encryption.CannotUnseal):
        encryption.unseal(token, "row 2")


def test_a_new_first_key_seals_and_the_old_one_still_opens() -> None:
    with override_settings(FIELD_KEYS=["old"]):
        token = encryption.seal("secret", "row")
    with override_settings(FIELD_KEYS=["new", "old"]):
        assert encryption.unseal(token, "row") == "secret"
        rotated = encryption.reseal(token)
    with override_settings(FIELD_KEYS=["new"]):
        assert encryption.unseal(rotated, "row") == "secret"
        with pytest.raises(encryption.CannotUnseal):
            encryption.unseal(token, "row")


def test_a_wrong_key_raises_and_never_gives_the_ciphertext_back(db: None) -> None:
    account = make_account()
    with override_settings(FIELD_KEYS=["another"]), pytest.raises(encryption.CannotUnseal) as caught:
        _ = Account.objects.get(pk=account.pk).api_key
    assert account.sealed_key not in str(caught.value)


def test_ciphertext_copied_to_another_account_is_refused(db: None) -> None:
    first, second = make_account("One"), make_account("Two", api_key="second-key-0123456789")
    Account.objects.filter(pk=second.pk).update(sealed_key=first.sealed_key)
    with pytest.raises(encryption.CannotUnseal):
        _ = Account.objects.get(pk=second.pk).api_key


def test_the_key_is_stored_sealed_and_hinted_by_its_last_four(db: None) -> None:
    account = make_account(api_key="abcdefgh-1234567890-wxyz")
    stored = Account.objects.filter(pk=account.pk).values().get()
    assert not [name for name, value in stored.items() if "abcdefgh" in str(value)]
    assert stored["key_hint"] == "wxyz"
    assert Account.objects.get(pk=account.pk).api_key == "abcdefgh-1234567890-wxyz"


def test_a_short_key_shows_no_hint(db: None) -> None:
    assert make_account(api_key="short").key_hint == ""
