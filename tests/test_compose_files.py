"""What docker-compose.yml and its TLS companion promise, read from the files; `python -m tests.compose` runs them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
OURS = ("migrate", "web", "worker", "beat")
LASTING = ("web", "worker", "beat", "redis", "postgres")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = read("docker-compose.yml")["services"]
    return found


def test_each_part_is_a_service_and_nothing_else_runs(services: dict[str, Any]) -> None:
    assert set(services) == {*OURS, "redis", "postgres"}
    assert len({services[name]["image"] for name in OURS}) == 1


@pytest.mark.parametrize("name", [*OURS, "redis"])
def test_what_faces_others_can_write_nowhere_and_gains_no_rights(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_all_are_limited_and_those_that_last_come_back(services: dict[str, Any]) -> None:
    for name, service in (services | read("docker-compose.tls.yml")["services"]).items():
        assert {"mem_limit", "pids_limit"} <= set(service), name
        assert service["restart"] == ("on-failure" if name == "migrate" else "unless-stopped"), name


def test_health_is_asked_of_whoever_can_tell_it(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "healthcheck" in service} == set(LASTING) - {"beat"}


def test_ours_wait_for_migrate_and_for_the_servers(services: dict[str, Any]) -> None:
    wanted = {"migrate": "service_completed_successfully", "postgres": "service_healthy", "redis": "service_healthy"}
    for name in ("web", "worker", "beat"):
        assert {on: each["condition"] for on, each in services[name]["depends_on"].items()} == wanted, name
    assert not services["migrate"]["depends_on"]


def test_passwords_are_files_that_only_migrate_may_write(services: dict[str, Any]) -> None:
    for name, service in services.items():
        written = "PASSWORD" in str(service.get("environment", {})).replace("POSTGRES_PASSWORD_FILE", "")
        assert not written, name
        assert ("secrets:/secrets" if name == "migrate" else "secrets:/secrets:ro") in service["volumes"], name


def test_redis_throws_nothing_away_and_keeps_it_over_a_restart(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command


def test_only_web_and_caddy_are_reached_from_outside_and_web_from_this_machine_alone(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "ports" in service} == {"web"}
    assert services["web"]["ports"] == ["${HOST:-127.0.0.1}:${PORT:-8000}:8000"]
    # podman-compose reads `environment` when it fills in `ports`: HOST=0.0.0.0 there would open the port to the world.
    assert not {"HOST", "PORT"} & set(services["web"]["environment"])


def test_a_worker_may_end_a_call_that_spends_money(services: dict[str, Any]) -> None:
    longest = 90  # PURCHASE_DEADLINE_SECONDS, by default
    assert int(services["worker"]["stop_grace_period"].removesuffix("s")) > longest


def test_every_variable_of_the_files_is_explained_in_the_example() -> None:
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    for name in ("docker-compose.yml", "docker-compose.tls.yml"):
        asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", (ROOT / name).read_text(encoding="utf-8")))
        assert asked <= explained, name


def test_what_the_settings_read_is_in_the_image(settings: Any) -> None:
    named = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    folders = [*settings.LOCALE_PATHS, *settings.STATICFILES_DIRS, *settings.TEMPLATES[0]["DIRS"]]
    assert {f"!{Path(folder).relative_to(ROOT).parts[0]}" for folder in folders} <= set(named)


def test_the_image_runs_as_nobody_special_and_takes_no_secret_in() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    final = dockerfile.rpartition("\nFROM ")[2]
    assert re.search(r"^USER dashboard$", final, re.MULTILINE)
    assert "--require-hashes" in dockerfile
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored  # nothing is taken in but what is named
    assert not any(line.startswith("!.env") or line in ("!var", "!.git") for line in ignored)
