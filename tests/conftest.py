"""The cast of every test (admin, manager, operator, viewer, stranger), fast settings, and the servers tests talk to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from anosim_dashboard import embedded_redis
from tests.environment import DATA_DIR
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real server for the whole run: the one of REDIS_URL, or an embedded one of our own."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    with embedded_redis.running(DATA_DIR) as url:
        yield url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of this test alone, which it may freeze, kill and start again."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """SQLite's test database is a file: other threads and processes of a test read and lock the same one."""
    from django.conf import settings

    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
        settings.DATABASES["default"]["TEST"] |= {"NAME": str(DATA_DIR / "tests.sqlite3")}  # type: ignore[operator]


@pytest.fixture(scope="session", autouse=True)
def _emptying_is_allowed() -> Iterator[None]:
    """A test that commits empties the tables afterwards, which the guard of the audit events refuses: it is put away
    first, and comes back by itself (post_migrate). PostgreSQL's TRUNCATE needs no such thing."""
    from django.db.backends.sqlite3.base import DatabaseWrapper

    from dashboard import audit_guard

    operations = DatabaseWrapper.ops_class
    empty = operations.sql_flush

    def sql_flush(self: Any, *args: Any, **kwargs: Any) -> list[str]:
        return [*audit_guard.drop_statements("sqlite"), *empty(self, *args, **kwargs)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", sql_flush)
        yield


@pytest.fixture(autouse=True)
def _fast_and_closed(settings: Any) -> None:
    """Cheap password hashes; plain static names, so that pages render without collectstatic."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STATIC_ROOT = DATA_DIR / "static"  # WhiteNoise warns where there is none
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def account(db: None) -> Any:
    from tests.factories import make_account

    return make_account("Shop")


@pytest.fixture
def foreign_account(db: None) -> Any:
    """An account of which nobody in the cast but the admin is a member."""
    from tests.factories import make_account

    return make_account("Elsewhere", api_key="foreign-key-0123456789abcdef")


def _person(name: str, account: Any = None, role: str = "", **fields: Any) -> Any:
    from dashboard.models import Membership, User

    user = User.objects.create_user(name, password=f"{name}-password", **fields)
    if account is not None:
        Membership.objects.create(user=user, account=account, role=role)
    return user


@pytest.fixture
def admin(db: None) -> Any:
    return _person("admin", is_superuser=True, is_staff=True)


@pytest.fixture
def manager(account: Any) -> Any:
    return _person("manager", account, "manager")


@pytest.fixture
def operator(account: Any) -> Any:
    return _person("operator", account, "operator")


@pytest.fixture
def viewer(account: Any) -> Any:
    return _person("viewer", account, "viewer")


@pytest.fixture
def stranger(db: None) -> Any:
    """Signed in, but a member of nothing."""
    return _person("stranger")


@pytest.fixture
def confirmed() -> Callable[[Client], None]:
    """Makes the session of a client one whose person has just proved who they are, as by a sign-in."""

    def confirm(client: Client, seconds_ago: float = 0) -> None:
        from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY

        session = client.session
        session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "password", "at": time.time() - seconds_ago}]
        session["account_authentication_methods_user"] = session["_auth_user_id"]
        session.save()

    return confirm
