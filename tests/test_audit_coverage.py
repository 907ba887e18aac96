"""Every address that changes something leaves an event: a new one without a case here fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from allauth.usersessions.models import UserSession
from django.contrib import admin as django_admin
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.resolvers import RoutePattern
from django.utils import timezone

from dashboard import audit
from dashboard.models import Account, AlertChannel, AuditEvent, Invite, Membership, Purchase, SyncState, User
from dashboard.views import export as exporting
from dashboard.views.activity_words import TOLD

from .factories import make_booking, make_product, make_purchase, make_sms, make_sync_states

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
ROOT = Path(__file__).resolve().parent.parent
WEEK = 7 * 1440
NO_MEMBERS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
NEW_PASSWORD = "tall-orange-bicycle-9753"

# What is a person's own and touches nobody else, or only asks a worker to read.
PERSONAL = {
    "favourite",
    "refresh-product",
    "news-about",
    "mfa_edit_webauthn",
    "test-channel",
    "choose-account",
    "read",
    "read-all",
    "read-all-undo",
}
# Steps of the sign-in: proven where they are tested, by what goes on record there.
SIGN_IN = {
    "account_login": "sign_in.done",
    "mfa_authenticate": "sign_in.done",
    "account_reauthenticate": "sign_in.confirmed",
    "mfa_reauthenticate": "sign_in.confirmed",
    "mfa_reauthenticate_webauthn": "sign_in.confirmed",
    "account_reset_password": "sign_in.limited",
    "account_reset_password_from_key": "password.reset",
    "account_change_password": "password.changed",
    "mfa_activate_totp": "second_factor.added",
    "mfa_deactivate_totp": "second_factor.removed",
    "mfa_generate_recovery_codes": "recovery_codes.renewed",
    "mfa_add_webauthn": "second_factor.added",
    "mfa_remove_webauthn": "second_factor.removed",
}


class World:
    """An admin who has just proved who they are, and an account with something of everything."""

    def __init__(self, client: Client, account: Account, admin: User, operator: User) -> None:
        self.client, self.account, self.admin, self.operator = client, account, admin, operator
        Account.objects.filter(pk=account.pk).update(balance_usd=Decimal("100"))
        now = timezone.now()
        rental: dict[str, Any] = {"rental_type": "RentalService", "service": "WhatsApp"}
        week = {"duration_minutes": WEEK, "price_usd": Decimal("5.00")}
        self.product = make_product(account)
        self.longer = make_product(account, **rental, **week)
        self.old = make_product(account, service="Kleinanzeigen")
        self.activation = make_booking(account)
        self.ended = make_booking(account, service="Kleinanzeigen", ends_at=now - timedelta(minutes=1))
        self.rental = make_booking(account, **rental, **week, auto_renewal=False, ends_at=now + timedelta(days=6))
        make_sms(self.rental)
        self.states = make_sync_states(account)

    def post(self, name: str, values: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        return self.client.post(reverse(name, kwargs=kwargs), values or {})

    def buy(self, name: str, booking: Any, product: Any) -> Any:
        values = {"token": str(uuid4()), "product": product.pk, "price": str(product.price_usd)}
        return self.post(name, values, pk=booking.pk)

    def purchase(self, status: str) -> Purchase:
        return make_purchase(self.account, self.admin, status=status, sent_at=timezone.now())

    def invite(self) -> tuple[Invite, str]:
        return Invite.make(invited_by=self.admin, account=self.account, role="operator", label="Nia")

    def member(self) -> int:
        return Membership.objects.get(user=self.operator).pk

    def channel(self) -> AlertChannel:
        channel = AlertChannel(user=self.admin, name="Hook")
        channel.address = "json://127.0.0.1:9/"
        channel.save()
        return channel

    def person_form(self, **values: Any) -> dict[str, Any]:
        return {"username": "operator", "is_active": "on", "theme": "", "time_zone": "", **NO_MEMBERS, **values}

    def account_form(self, **values: Any) -> dict[str, Any]:
        form = {"name": self.account.name, "base_url": self.account.base_url, "enabled": "on", "api_key": ""}
        return {**form, **NO_MEMBERS, **values}


def _order(world: World) -> Any:
    values = {"token": str(uuid4()), "amount": "1", "provider": "0", "price": "1.43", "note": ""}
    return world.post("order-product", values, pk=world.product.pk)


def _export(world: World) -> Any:
    return world.post("export-inbox")


def _login(world: World) -> Any:
    world.client.logout()
    return world.post("login", {"username": "operator", "password": "operator-password"})


def _join(world: World) -> Any:
    world.client.logout()
    _, token = world.invite()
    values = {"username": "newcomer", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    return world.post("join", values, token=token)


def _end_session(world: World) -> Any:
    return world.post("end-session", pk=_another_session(world).pk)


def _another_session(world: World) -> UserSession:
    other = Client()
    other.post("/accounts/login/", {"username": "admin", "password": "admin-password"})
    row = UserSession.objects.filter(user=world.admin).order_by("-pk").first()
    assert row is not None
    return row


def _end_others(world: World) -> Any:
    _another_session(world)
    return world.post("end-other-sessions")


def _change_person(world: World) -> Any:
    values = world.person_form(is_active="")
    return world.client.post(f"/admin/dashboard/user/{world.operator.pk}/change/", values)


def _set_password(world: World) -> Any:
    values = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    return world.client.post(f"/admin/dashboard/user/{world.operator.pk}/password/", values)


def _add_person(world: World) -> Any:
    values = {"username": "nina", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD, **NO_MEMBERS}
    return world.client.post("/admin/dashboard/user/add/", values)


def _add_account(world: World) -> Any:
    values = world.account_form(name="Another", api_key="another-key-0123456789")
    return world.client.post("/admin/dashboard/account/add/", values)


def _change_account(world: World) -> Any:
    values = world.account_form(daily_cap_usd="7.00")
    return world.client.post(f"/admin/dashboard/account/{world.account.pk}/change/", values)


def _sync_now(world: World) -> Any:
    values = {"action": "sync_now", "_selected_action": [world.states[0].pk]}
    return world.client.post("/admin/dashboard/syncstate/", values)


Case = tuple[str, Callable[[World], Any]]
CASES: dict[str, Case] = {
    "login": ("sign_in.done", _login),
    "logout": ("sign_out", lambda world: world.post("logout")),
    "end-session": ("session.ended", _end_session),
    "end-other-sessions": ("session.ended", _end_others),
    "settings": ("user.own_settings", lambda world: world.post("settings", {"first_name": "Ada", "theme": "dark"})),
    "add-channel": (
        "alerts.channel_added",
        lambda world: world.post("add-channel", {"name": "Hook", "address": "json://93.184.215.14/"}),
    ),
    "remove-channel": (
        "alerts.channel_removed",
        lambda world: world.post("remove-channel", pk=world.channel().pk),
    ),
    "member": (
        "membership.changed",
        lambda world: world.post("member", {"role": "viewer", "daily_cap_usd": ""}, pk=world.member()),
    ),
    "remove-member": ("membership.taken", lambda world: world.post("remove-member", pk=world.member())),
    "invites": (
        "member.invited",
        lambda world: world.post("invites", {"account": world.account.pk, "role": "operator", "label": "Nia"}),
    ),
    "revoke-invite": ("member.uninvited", lambda world: world.post("revoke-invite", pk=world.invite()[0].pk)),
    "join": ("member.joined", _join),
    "order-product": ("purchase.asked", _order),
    "withdraw-purchase": (
        "purchase.withdrawn",
        lambda world: world.post("withdraw-purchase", uuid=world.purchase("queued").pk),
    ),
    "decide-purchase": (
        "purchase.decided",
        lambda world: world.post(
            "decide-purchase", {"decision": "absent", "reason": "Asked."}, uuid=world.purchase("needs_review").pk
        ),
    ),
    "extend-booking": ("purchase.asked", lambda world: world.buy("extend-booking", world.rental, world.longer)),
    "reuse-booking": ("purchase.asked", lambda world: world.buy("reuse-booking", world.ended, world.old)),
    "cancel-booking": ("booking.cancel", lambda world: world.post("cancel-booking", pk=world.activation.pk)),
    "renewal-booking": (
        "booking.renewal_on",
        lambda world: world.post("renewal-booking", {"on": "1"}, pk=world.rental.pk),
    ),
    "renewal-of-all": (
        "account.renewal_on",
        lambda world: world.post("renewal-of-all", {"on": "1"}, pk=world.account.pk),
    ),
    "booking-notes": (
        "booking.noted",
        lambda world: world.post("booking-notes", {"note": "For support"}, pk=world.rental.pk),
    ),
    "read-now": ("sync.read_now", lambda world: world.post("read-now", pk=world.account.pk)),
    "export-inbox": ("sms.exported", _export),
    "admin:dashboard_user_add": ("user.created", _add_person),
    "admin:dashboard_user_change": ("user.changed", _change_person),
    "admin:auth_user_password_change": ("user.password_set", _set_password),
    "admin:dashboard_account_add": ("account.created", _add_account),
    "admin:dashboard_account_change": ("account.spending", _change_account),
    "admin:dashboard_account_test_key": (
        "key.tested",
        lambda world: world.post("admin:dashboard_account_test_key", pk=world.account.pk),
    ),
    "admin:dashboard_syncstate_changelist": ("sync.read_now", _sync_now),
}


@pytest.fixture
def queue(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that takes everything, and nobody who works on it."""
    from anosim_dashboard.celery import app

    monkeypatch.setattr(app.conf, "broker_url", redis_url.replace("unix://", "redis+socket://", 1))
    monkeypatch.setattr(app.conf, "broker_write_url", None)


@pytest.fixture
def as_admin(client: Client, admin: User, confirmed: Callable[[Client], None]) -> Client:
    client.force_login(admin)
    confirmed(client)
    return client


@pytest.fixture
def world(as_admin: Client, account: Account, admin: User, operator: User) -> World:
    return World(as_admin, account, admin, operator)


@pytest.mark.parametrize("name", CASES)
def test_what_changes_something_leaves_an_event_of_who_did_it(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "close_old_connections", lambda: None)
    action, act = CASES[name]
    before = AuditEvent.objects.filter(action=action).count()
    response = act(world)
    assert response.status_code in (200, 204, 302, 303), response.content.decode()
    event = AuditEvent.objects.filter(action=action).order_by("-pk").first()
    assert AuditEvent.objects.filter(action=action).count() == before + 1
    assert event is not None
    assert event.user_name in ("admin", "operator", "newcomer")


@pytest.mark.parametrize(
    "name", ["admin:auth_user_password_change", "admin:dashboard_syncstate_changelist", "read-now"]
)
def test_what_cannot_be_put_on_record_is_not_done(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise OSError("no record")

    monkeypatch.setattr(audit, "_write", broken)
    world.client.raise_request_exception = False
    assert CASES[name][1](world).status_code == 500
    assert not SyncState.objects.filter(due_at__lte=timezone.now()).exists()
    world.operator.refresh_from_db()
    assert world.operator.check_password("operator-password")


def test_every_address_that_takes_a_form_is_a_case_or_a_person_s_own(
    client: Client, admin: User, confirmed: Callable[[Client], None]
) -> None:
    def sign_in() -> None:
        client.force_login(admin)
        confirmed(client)

    known = set(CASES) | PERSONAL | set(SIGN_IN)
    assert posting(client, sign_in, admin) - known == set(), (
        "add a case to CASES, or say in PERSONAL why it needs no event"
    )


def test_no_case_is_left_of_an_address_that_is_gone() -> None:
    names = {name for name, _ in named(get_resolver())}
    assert (set(CASES) | PERSONAL | set(SIGN_IN)) - names == set()


def test_whatever_the_code_records_is_told_in_a_sentence_of_its_own() -> None:
    told = {action for action, _ in CASES.values()} | set(SIGN_IN.values()) | set(recorded())
    assert {action for action in told if action not in TOLD} == set()


def recorded() -> Iterator[str]:
    """Actions that stand in the sources, written out."""
    import re

    for path in (ROOT / "dashboard").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for call in re.finditer(r"(?:audit|recording)\.(?:record|note|by_machine|by_console)\(([^)]*)", text):
            yield from re.findall(r"[^f]\"([a-z_]+\.[a-z_]+)\"", call[1])


def named(resolver: URLResolver, namespace: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from named(entry, f"{namespace}{entry.namespace}:" if entry.namespace else namespace)
        elif entry.name:
            yield f"{namespace}{entry.name}", entry


def posting(client: Client, sign_in: Callable[[], None], admin: User) -> set[str]:
    """Names of the addresses that an admin may send a form to."""
    closed = _closed_in_admin(admin)
    found = set()
    for name, pattern in named(get_resolver()):
        if name in closed:
            continue
        converters = pattern.pattern.converters.items()
        if not isinstance(pattern.pattern, RoutePattern):
            # An address that allauth writes as an expression: no number fits it.
            found.add(name)
            continue
        url = reverse(name, kwargs={key: uuid4() if "UUID" in type(each).__name__ else 1 for key, each in converters})
        sign_in()
        if client.post(url).status_code != 405:
            found.add(name)
    return found


def _closed_in_admin(admin: User) -> set[str]:
    """What of the admin's addresses of a model takes no form, by the rights of its own page; and what leads away."""
    request = RequestFactory().get("/")
    request.user = admin
    closed = {f"admin:{name}" for name in ("index", "login", "logout", "password_change", "password_change_done")}
    closed |= {f"admin:{name}" for name in ("app_list", "autocomplete", "jsi18n", "view_on_site")}
    for model, page in django_admin.site._registry.items():
        stem = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        rights = {
            "add": page.has_add_permission(request),
            "change": page.has_change_permission(request),
            "delete": page.has_delete_permission(request),
            "changelist": bool(page.get_actions(request)),
            "history": False,
        }
        closed |= {f"{stem}_{way}" for way, open_ in rights.items() if not open_}
    return closed


@pytest.mark.parametrize("name", ["password_change", "logout"])
def test_the_admin_s_own_ways_lead_to_ours_which_are_on_record(as_admin: Client, name: str) -> None:
    response = as_admin.post(f"/admin/{name}/", {"old_password": "admin-password", "new_password1": NEW_PASSWORD})
    assert response.status_code == 302
    where = {"password_change": reverse("account_change_password"), "logout": "/accounts/login/"}[name]
    assert response["Location"] == where
    assert AuditEvent.objects.filter(action="sign_out").exists() == (name == "logout")
