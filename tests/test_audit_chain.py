"""The chain of the record: whatever was edited, taken out, put in or moved shows in the check."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from dashboard import audit_chain, tasks
from dashboard.models import Account, AuditEvent, AuditHead

from .audited import TABLE, by_force, make_event, told, wrongs
from .audited import events as events
from .factories import make_account

# --- the chain


def test_an_untouched_record_is_found_in_order(events: list[AuditEvent], account: Account) -> None:
    code, words = told()
    assert code == 0
    assert "7 events checked: all as they were written." in words
    assert f"audit head {account.pk} 5 {events[-1].hash}  (Account Shop)" in words


EDITS = {
    "who": "user_name = 'somebody else'",
    "as what": "role = 'admin'",
    "when": "at = '2020-01-01 00:00:00+00:00'",
    "what": "action = 'account.resumed'",
    "kind": "kind = 'exports'",
    "object": "object_id = '77'",
    "object's name": "object_text = 'x'",
    "details": "details = '{\"number\": 7}'",
    "address": "address = '203.0.113.1'",
    "device": "device = 'x'",
    "request": "request_id = 'x'",
    "person": "user_id = 77",
    "account": "account_id = NULL",
    "hash": "hash = 'x'",
    "hash before": "previous = 'x'",
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_each_edit_is_found_and_its_event_named(events: list[AuditEvent], change: str) -> None:
    by_force(f"UPDATE {TABLE} SET {change} WHERE id = %s", events[2].pk)
    code, words = told()
    assert code == 1
    assert f"event {events[2].pk} (#3" in words


def test_a_deleted_event_is_missed(events: list[AuditEvent]) -> None:
    by_force(f"DELETE FROM {TABLE} WHERE id = %s", events[1].pk)
    assert told()[0] == 1
    assert [f"1 event is missing before event {events[2].pk} (#3" in each for each in wrongs()] == [True]


def test_the_first_event_is_missed_too(events: list[AuditEvent]) -> None:
    by_force(f"DELETE FROM {TABLE} WHERE id = %s", events[0].pk)
    assert ["missing before" in each for each in wrongs()] == [True]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_newest_events_are_missed(events: list[AuditEvent], count: int) -> None:
    for event in events[-count:]:
        by_force(f"DELETE FROM {TABLE} WHERE id = %s", event.pk)
    problems = wrongs()
    assert len(problems) == 1
    assert f"{count} event{'s are' if count > 1 else ' is'} missing at the end" in problems[0]


def test_the_end_cannot_be_moved_back_to_hide_it(events: list[AuditEvent], account: Account) -> None:
    by_force(f"DELETE FROM {TABLE} WHERE id = %s", events[-1].pk)
    AuditHead.objects.filter(chain=account.pk).update(seq=4, hash=events[-2].hash)
    assert ["the end of the chain was changed" in each for each in wrongs()] == [True]


def test_a_whole_chain_that_is_gone_is_missed(events: list[AuditEvent], account: Account) -> None:
    by_force(f"DELETE FROM {TABLE} WHERE chain = %s", account.pk)
    AuditHead.objects.filter(chain=account.pk).delete()
    assert [each for each in wrongs() if "Of 2 chains 1 are left" in each]


def test_a_head_that_is_gone_is_missed_and_stops_nobody(events: list[AuditEvent], account: Account) -> None:
    AuditHead.objects.filter(chain=account.pk).delete()
    assert [each for each in wrongs() if "the end of the chain is gone" in each]
    assert make_event(account).seq == 6
    assert told()[0] == 1


def _copied(event: AuditEvent, **changes: Any) -> None:
    """A row like this one, put in with other values."""
    names = [str(field.column) for field in AuditEvent._meta.concrete_fields if field.column != "id"]
    values = [changes.get(name, getattr(event, name)) for name in names]
    values[names.index("details")] = json.dumps(event.details)
    by_force(f"INSERT INTO {TABLE} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})", *values)


def test_an_event_put_in_at_the_end_is_found(events: list[AuditEvent]) -> None:
    _copied(events[-1], seq=6, previous=events[-1].hash, action="account.resumed")
    assert ["was put in behind the end" in each for each in wrongs()] == [True]


def test_an_event_put_in_at_the_end_with_the_head_moved_along_is_found(
    events: list[AuditEvent], account: Account
) -> None:
    _copied(events[-1], seq=6, previous=events[-1].hash, hash="0" * 64)
    AuditHead.objects.filter(chain=account.pk).update(seq=6, hash="0" * 64)
    problems = " ".join(wrongs())
    assert "the end of the chain was changed" in problems
    assert "is not what was written" in problems


def test_an_event_put_in_place_of_another_is_found(events: list[AuditEvent]) -> None:
    by_force(f"DELETE FROM {TABLE} WHERE id = %s", events[1].pk)
    _copied(events[1], action="account.resumed")
    assert ["is not what was written" in each for each in wrongs()] == [True]


def test_an_event_of_another_chain_put_in_is_found(events: list[AuditEvent]) -> None:
    other = AuditEvent.objects.get(chain=0, seq=2)
    by_force(f"DELETE FROM {TABLE} WHERE id = %s", events[1].pk)
    _copied(other, chain=events[1].chain)
    assert wrongs()


def test_two_events_that_changed_places_are_found(events: list[AuditEvent]) -> None:
    for pk, seq in ((events[1].pk, -2), (events[2].pk, 2), (events[1].pk, 3)):
        by_force(f"UPDATE {TABLE} SET seq = %s WHERE id = %s", seq, pk)
    problems = wrongs()
    assert len([each for each in problems if f"event {events[1].pk} " in each]) >= 1
    assert len([each for each in problems if f"event {events[2].pk} " in each]) >= 1


def test_two_events_that_swapped_all_they_say_are_found(events: list[AuditEvent]) -> None:
    first, second = events[1], events[2]
    by_force(f"UPDATE {TABLE} SET details = %s WHERE id = %s", json.dumps(second.details), first.pk)
    by_force(f"UPDATE {TABLE} SET details = %s WHERE id = %s", json.dumps(first.details), second.pk)
    assert ["is not what was written" in each for each in wrongs()] == [True, True]


@pytest.mark.parametrize("key", [b"", hashlib.sha256(b"").digest()], ids=["none", "a known one"])
def test_hashes_computed_anew_without_the_key_are_found(events: list[AuditEvent], account: Account, key: bytes) -> None:
    """An attacker who knows all of this code and has the database: the whole chain hashed again, head and all."""
    by_force(f"UPDATE {TABLE} SET action = 'account.resumed' WHERE id = %s", events[1].pk)
    previous = ""
    for event in AuditEvent.objects.filter(chain=account.pk).order_by("seq"):
        forged = audit_chain.link(key, previous, event.chained_values())
        by_force(f"UPDATE {TABLE} SET previous = %s, hash = %s WHERE id = %s", previous, forged, event.pk)
        previous = forged
    mac = audit_chain.head_mac(key, account.pk, 5, previous)
    AuditHead.objects.filter(chain=account.pk).update(hash=previous, mac=mac)
    assert len([each for each in wrongs() if "#" in each]) == 5


def test_a_key_of_another_chain_is_refused(events: list[AuditEvent], account: Account) -> None:
    other = AuditHead.objects.get(chain=0)
    AuditHead.objects.filter(chain=account.pk).update(sealed_key=other.sealed_key)
    assert ["cannot be opened" in each for each in wrongs()] == [True]


def test_the_chain_survives_a_rotation_of_the_field_keys(db: None) -> None:
    with override_settings(FIELD_KEYS=["old"]):
        account = make_account("Rotated")
        make_event(account)
    with override_settings(FIELD_KEYS=["new", "old"]):
        call_command("rotate_field_keys", stdout=io.StringIO())
    with override_settings(FIELD_KEYS=["new"]):
        make_event(account)
        assert wrongs() == []


def test_field_keys_that_are_away_stop_nobody_and_what_was_written_meanwhile_is_told(account: Account) -> None:
    make_event(account)
    with override_settings(FIELD_KEYS=["other"]):
        unproven = make_event(account)
        assert ["cannot be opened" in each for each in wrongs()] == [True, True]
    make_event(account)
    problems = wrongs()
    assert len(problems) == 1
    assert f"event {unproven.pk} " in problems[0]
    assert "did not open the key" in problems[0]


# --- how the check is asked


def test_one_account_or_one_span_can_be_checked(events: list[AuditEvent], account: Account) -> None:
    by_force(f"UPDATE {TABLE} SET action = 'x' WHERE chain = 0 AND seq = 1")
    assert told("--account", "Shop")[0] == 0
    assert "5 events checked" in told("--account", str(account.pk))[1]
    assert told()[0] == 1
    tomorrow = (timezone.now() + timedelta(days=2)).date().isoformat()
    assert told("--from", tomorrow)[0] == 0
    assert told("--from", "2020-01-01")[0] == 1
    assert told("--from", "soon")[0] == 1
    assert told("--account", "Nobody's")[0] == 1


def test_an_end_that_a_log_line_kept_outside_shows_an_older_copy(
    events: list[AuditEvent], account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        tasks.note_audit_heads()
    line = next(each for each in caplog.messages if each.startswith(f"audit head {account.pk} 5 "))
    make_event(account)
    assert told("--head", line)[0] == 0
    head = AuditHead.objects.get(chain=account.pk)
    by_force(f"DELETE FROM {TABLE} WHERE chain = %s AND seq > 4", account.pk)
    key = audit_chain.open_key(head.sealed_key, account.pk)
    # As a backup holds it: the head of that time, with its own seal.
    old = AuditEvent.objects.get(chain=account.pk, seq=4)
    mac = audit_chain.head_mac(key, account.pk, 4, old.hash)
    AuditHead.objects.filter(chain=account.pk).update(seq=4, hash=old.hash, mac=mac)
    assert told()[0] == 0
    code, words = told("--head", line)
    assert code == 1
    assert "older copy" in words
    assert told("--head", "nonsense")[0] == 1


def test_many_wrongs_are_counted_and_the_first_told(account: Account) -> None:
    for _ in range(30):
        make_event(account)
    by_force(f"UPDATE {TABLE} SET action = 'x'")
    code, words = told()
    assert code == 1
    assert "30 events checked: 30 wrong, 10 more than are told above." in words
    assert "#1," in words
