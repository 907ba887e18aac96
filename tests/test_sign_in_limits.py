"""How often a password may be guessed: from one address, from many, at names that are nobody's; and that no owner is
shut out."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.db import connection
from django.test import Client
from django.utils import timezone

from dashboard.models import AuditEvent, GuessCount, KnownPlace, User
from dashboard.sign_in import limits

LOGIN = "/accounts/login/"


class Judge:
    """Counts the tries that were looked at, and lets time pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.judged: list[tuple[datetime, str]] = []
        self.now = timezone.now()
        plain = ModelBackend.authenticate

        def watched(backend: Any, request: Any, username: Any = None, **more: Any) -> Any:
            self.judged.append((self.now, username))
            return plain(backend, request, username=username, **more)

        monkeypatch.setattr(ModelBackend, "authenticate", watched)
        monkeypatch.setattr(limits.timezone, "now", lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def most_within(self, minutes: float, name: str = "viewer") -> int:
        times = [at for at, who in self.judged if who == name]
        return max(
            (sum(start <= at < start + timedelta(minutes=minutes) for at in times) for start in times), default=0
        )


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    return Judge(monkeypatch)


def guess(name: str = "viewer", password: str = "wrong", address: str = "198.51.100.7", client: Any = None) -> Any:
    return (client or Client()).post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)


def addresses() -> Iterator[str]:
    return (f"203.0.{number // 250}.{number % 250 + 1}" for number in itertools.count())


def test_of_a_thousand_guesses_from_one_address_few_are_looked_at(viewer: Any, judge: Judge) -> None:
    for _ in range(1000):
        guess()
        judge.wait(0.9)
    assert judge.most_within(15) == 9
    assert guess(password="viewer-password").status_code == 429


def test_of_a_thousand_guesses_from_a_thousand_addresses_few_are_looked_at(viewer: Any, judge: Judge) -> None:
    places = addresses()
    for _ in range(1000):
        guess(address=next(places))
        judge.wait(0.9)
    assert judge.most_within(15) == 9


def test_not_more_than_twenty_with_the_known_places_of_the_owner_among_them(viewer: Any, judge: Judge) -> None:
    KnownPlace.objects.create(user=viewer, network="198.51.100.1")
    for number, address in zip(range(1800), addresses(), strict=False):
        guess(address="198.51.100.1" if number % 2 else address)
        judge.wait(0.5)
    assert judge.most_within(15) == 18


def test_a_hundred_at_once_are_no_more_than_one_after_the_other(
    transactional_db: None, django_user_model: Any, judge: Judge
) -> None:
    django_user_model.objects.create_user("viewer", password="viewer-password")
    places = list(itertools.islice(addresses(), 24))
    gate = threading.Barrier(len(places))

    def one(address: str) -> None:
        gate.wait()
        try:
            guess(address=address)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(judge.judged) == limits.FREE


def test_the_wait_is_told_in_words_and_grows(viewer: Any, judge: Judge) -> None:
    for _ in range(limits.FREE):
        assert guess().status_code == 200
    told = []
    for _ in range(8):
        refused = guess()
        assert refused.status_code == 429
        told.append(int(refused["Retry-After"]))
        judge.wait(told[-1])
        assert guess().status_code == 200
    assert told == [5, 10, 20, 40, 80, 160, 300, 300]
    assert "Wait 5 minutes, then try again." in guess().content.decode()


def test_the_owner_at_a_place_of_their_own_is_not_held_up_by_others(viewer: Any, judge: Judge) -> None:
    assert guess(password="viewer-password", address="192.0.2.1").status_code == 302
    for _ in range(300):
        guess(address=next(addresses()))
    assert guess(password="viewer-password", address="198.51.100.9").status_code == 429
    assert guess(password="viewer-password", address="192.0.2.1").status_code == 302


def test_the_browser_of_the_owner_is_known_wherever_it_is(viewer: Any, judge: Judge) -> None:
    mine = Client()
    assert guess(password="viewer-password", address="192.0.2.1", client=mine).status_code == 302
    mine.post("/accounts/logout/")
    for _ in range(300):
        guess(address="198.51.100.7")
    assert guess(password="viewer-password", address="198.51.100.7").status_code == 429
    assert guess(password="viewer-password", address="198.51.100.7", client=mine).status_code == 302


def test_that_browser_has_two_tries_of_its_own_and_is_then_as_any_other(viewer: Any, judge: Judge) -> None:
    mine = Client()
    guess(password="viewer-password", client=mine)
    mine.post("/accounts/logout/")
    judge.judged.clear()
    for number, address in zip(range(900), addresses(), strict=False):
        guess(address="198.51.100.7" if number % 2 else address)
        guess(client=mine)
        judge.wait(1)
    assert judge.most_within(15) == 20
    judge.wait(3601)
    for _ in range(limits.FREE + 1):
        guess()
    assert guess(password="viewer-password").status_code == 429
    assert guess(client=mine).status_code == 200
    assert guess(password="viewer-password", client=mine).status_code == 302


def test_a_made_up_cookie_or_that_of_another_person_is_none(viewer: Any, operator: Any, judge: Judge) -> None:
    theirs = Client()
    guess("operator", "operator-password", "192.0.2.1", theirs)
    theirs.post("/accounts/logout/")
    forged = Client()
    forged.cookies["place"] = f"{viewer.pk}:{theirs.cookies['place'].value.partition(':')[2]}"
    for _ in range(limits.FREE):
        guess()
    for client in (theirs, forged):
        assert guess(client=client).status_code == 429


def test_the_cookie_is_for_the_server_alone_and_an_old_place_is_forgotten(viewer: Any, judge: Judge) -> None:
    cookie = guess(password="viewer-password").cookies["place"]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
    judge.wait(limits.PLACE_KNOWN.total_seconds() + 1)
    guess(password="viewer-password", address="192.0.2.2")
    assert list(KnownPlace.objects.values_list("network", flat=True)) == ["192.0.2.2"]


def test_whoever_waits_gets_in(viewer: Any, judge: Judge) -> None:
    for _ in range(500):
        guess()
        judge.wait(1)
    judge.wait(limits.LONGEST_WAIT.total_seconds())
    assert guess(password="viewer-password").status_code == 302


def test_an_hour_of_rest_makes_it_forgotten_and_the_rows_go(viewer: Any, judge: Judge) -> None:
    for number in range(30):
        guess(f"nobody {number}", address=next(addresses()))
    for _ in range(limits.FREE + 1):
        guess()
    judge.wait(3601)
    for _ in range(limits.FREE):
        assert guess(address="192.0.2.77").status_code == 200
    assert GuessCount.objects.count() == 2


def test_names_that_are_nobodys_are_limited_alike_and_not_stored(viewer: Any, judge: Judge) -> None:
    answers = {}
    for name in ("viewer", "nobody-hunter2"):
        places = addresses()
        answers[name] = [_shape(guess(name, address=next(places))) for _ in range(12)]
    assert answers["viewer"] == answers["nobody-hunter2"]
    assert not [row.key for row in GuessCount.objects.all() if "hunter2" in row.key]


def _shape(response: Any) -> tuple[int, str]:
    found = re.search(r'id="login-error"[^>]*>([^<]*)<', response.content.decode())
    assert found
    return response.status_code, found[1].strip()


def test_one_address_that_tries_many_names_is_slowed_down(judge: Judge, db: None) -> None:
    for number in range(200):
        guess(f"name {number}")
    assert len(judge.judged) == limits.FREE_OF_ADDRESS
    assert guess("name 1", address="192.0.2.5").status_code == 200


def test_neighbours_in_one_network_of_the_new_kind_are_one_place(judge: Judge, db: None) -> None:
    for number in range(200):
        guess(f"name {number}", address=f"2001:db8:0:1::{number:x}")
    assert len(judge.judged) == limits.FREE_OF_ADDRESS


def test_over_a_socket_file_without_addresses_nobody_shuts_all_the_others_out(viewer: Any, judge: Judge) -> None:
    for number in range(100):
        guess(f"name {number}", address="")
    assert guess(password="viewer-password", address="").status_code == 302


def test_a_right_one_takes_back_only_itself(viewer: Any, judge: Judge) -> None:
    for _ in range(limits.FREE - 1):
        guess()
    assert guess(password="viewer-password").status_code == 302
    guess(address="203.0.113.1")
    KnownPlace.objects.all().delete()
    assert guess(address="203.0.113.2").status_code == 429


def test_refusals_go_on_record_once_for_each_wait(viewer: Any, judge: Judge) -> None:
    for _ in range(50):
        guess()
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["sign_in.failed"] * limits.FREE + ["sign_in.limited"]
    judge.wait(6)
    for _ in range(50):
        guess()
    assert AuditEvent.objects.filter(action="sign_in.limited").count() == 2


def test_confirming_and_changing_the_password_count_as_guesses_too(viewer: Any, judge: Judge) -> None:
    client = Client()
    client.force_login(User.objects.get(pk=viewer.pk))
    for _ in range(limits.FREE):
        client.post("/accounts/confirm/", {"password": "wrong"})
    new = {"password1": "a-new-word-for-it", "password2": "a-new-word-for-it"}
    refused = client.post("/settings/security/password/", {"oldpassword": "viewer-password", **new})
    assert refused.status_code == 429
    judge.wait(6)
    assert client.post("/settings/security/password/", {"oldpassword": "viewer-password", **new}).status_code == 302
