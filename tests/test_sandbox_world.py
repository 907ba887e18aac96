"""The stand-in provider lives by itself, survives restarts, obeys its controls, and runs as a program."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import phonenumbers
import pytest

from dashboard.sandbox import Sandbox, catalogue, phone_numbers, texts
from dashboard.sandbox.hostile import HOSTILE
from dashboard.sandbox.phrases import CODES, SPOKEN
from dashboard.sandbox.program import fault, size
from tests.sandbox_caller import call, control, get, product, request

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dashboard" / "sandbox"


def test_every_number_is_a_valid_mobile_number_of_its_country() -> None:
    rng = Random(4)
    regions = dict(
        zip(
            phone_numbers.PATTERNS,
            ["CZ", "DE", "LT", "NL", "GB", "PL", "PT", "SE", "CY", "KE", "ZA"],
            strict=True,
        )
    )
    assert list(regions) == [country.name for country in catalogue.COUNTRIES]
    for country, region in regions.items():
        for _ in range(60):
            number = phonenumbers.parse(phone_numbers.mobile(country, rng))
            assert phonenumbers.is_valid_number_for_region(number, region)
            assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE


def test_every_country_hears_messages_in_its_languages_and_the_attacks_are_complete() -> None:
    rng = Random(1)
    for country in SPOKEN:
        heard = [part for _ in range(60) for part in texts.message(country, "", rng)]
        assert len({text for _, text in heard}) > 40
        assert all(sender and "{" not in text for sender, text in heard)
    assert len(CODES) >= 20
    attacks = "".join(sender + text for sender, text in HOSTILE)
    for weapon in ("<script>", "{{7*7}}", "javascript:", "hx-get=", "\u202e", "\x00", "\U0001f512"):
        assert weapon in attacks
    assert max(len(text) for _, text in HOSTILE) == 10_000


def test_the_same_seed_begins_the_same_and_another_one_differs() -> None:
    start = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def shape(seed: int) -> list[tuple[object, ...]]:
        world = Sandbox(seed=seed, start=start).world
        return [(row.id, row.number, row.state) for row in world.bookings.values()] + [
            (row.sender, row.text) for row in world.sms
        ]

    assert shape(1) == shape(1)
    assert shape(1) != shape(2)


def test_history_has_bookings_in_every_state_and_some_wait_for_an_sms() -> None:
    for seed in range(8):
        world = Sandbox(seed=seed).world
        assert {row.state for row in world.bookings.values()} == {"Active", "Pending", "Ended", "Not Used"}
        assert any(row.rental_type == "Activation" and not row.sms for row in world.running())


def test_sizes_are_exact() -> None:
    world = Sandbox(size={"orders": 7, "bookings": 30, "sms": 55}).world
    assert (len(world.orders), len(world.bookings), len(world.sms)) == (7, 30, 55)


def test_a_quiet_world_stands_still_and_a_living_one_moves() -> None:
    with Sandbox(seed=1) as quiet, Sandbox(seed=1, quiet=False, speed=400) as living:
        before = len(living.world.sms)
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline and not (living.ledger and len(living.world.sms) > before + 5):
            time.sleep(0.05)
        assert len(living.world.sms) > before + 5
        assert {sale["origin"] for sale in living.ledger} == {"elsewhere"}
        assert len(quiet.world.sms) == 300
        assert quiet.ledger == []


def test_a_living_world_always_has_bookings_that_wait_and_never_runs_out_of_money() -> None:
    sandbox = Sandbox(seed=1, quiet=False, balance="30.00", speed=1)
    life, world = sandbox._life, sandbox.world
    assert life is not None
    fewest = 99
    for _ in range(3 * 3600 // 5):
        world.clock.advance(5)
        world.settle()
        life.tick()
        fewest = min(fewest, sum(1 for row in world.running() if not row.sms))
    assert fewest >= 1
    assert world.balance >= 0
    assert any(why == "top-up" for _, _, why in world.ledger.movements)
    assert any(why.startswith("refund") for _, _, why in world.ledger.movements)


def test_a_world_that_lives_long_forgets_the_oldest_but_nothing_that_runs() -> None:
    sandbox = Sandbox(seed=1, quiet=False, size={"orders": 0}, balance="100000")
    world = sandbox.world
    world.keep = 50
    wanted = product(sandbox, "Activation")
    rental = world.order(product(sandbox, "RentalFull", "")).bookings[0]
    for _ in range(200):
        for network in world.products[wanted].providers:
            network.available = 50
        world.receive_sms(world.order(wanted).bookings[0], "code 1234")
        world.clock.advance(1300)
        world.settle()
    assert len(world.sms) <= 55
    assert len(world.bookings) <= 57
    assert len(world.orders) <= 57
    assert rental in world.bookings


def test_state_survives_a_restart_and_ids_keep_growing(tmp_path: Path) -> None:
    file = tmp_path / "world.jsonl"
    with Sandbox(seed=1, state_file=file) as sandbox:
        wanted = product(sandbox, "Activation")
        order = call(sandbox, "POST", "/Orders", productId=wanted, amount=1).json
        sandbox.world.receive_sms(order["bookings"][0]["id"], "Code \x00 1234 🔑", "Bank")
        before = {path: get(sandbox, path) for path in ("/Orders", "/OrderBookings", "/Sms", "/Balance", "/SimCards")}
    with Sandbox(seed=1, state_file=file) as sandbox:
        assert {path: get(sandbox, path) for path in before} == before
        again = call(sandbox, "POST", "/Orders", productId=wanted, amount=1).json
        assert again["id"] > order["id"]
        assert again["bookings"][0]["id"] > order["bookings"][0]["id"]


def test_a_sale_is_in_the_state_file_within_a_second_without_a_clean_end(tmp_path: Path) -> None:
    file = tmp_path / "world.jsonl"
    with Sandbox(state_file=file) as sandbox:
        order = call(sandbox, "POST", "/Orders", productId=product(sandbox, "Activation"), amount=1).json
        deadline = time.monotonic() + 3
        while f'"order": [{order["id"]},' not in file.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert f'"order": [{order["id"]},' in file.read_text()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"version": 99}', "\x00"])
def test_a_file_that_is_no_state_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "world.jsonl"
    file.write_text(content)
    with pytest.raises(ValueError, match="holds no state of a sandbox"):
        Sandbox(state_file=file)
    assert file.read_text() == content


def test_the_ledger_file_holds_the_sale_before_the_answer_comes(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    with Sandbox(ledger=file, faults={"reset-after": {"only": "spends"}}) as sandbox:
        with pytest.raises(ConnectionResetError):
            call(sandbox, "POST", "/Orders", productId=product(sandbox, "Activation"), amount=2)
        (line,) = file.read_text().splitlines()
        assert json.loads(line) == sandbox.ledger[0]
        assert json.loads(line)["amount"] == 2


def test_controls_are_closed_without_the_token() -> None:
    with Sandbox(size={"orders": 0}) as sandbox, Sandbox(size={"orders": 0}, control_token="") as closed:
        assert request(sandbox.control_url + "ledger").status == 403
        assert request(closed.control_url + "ledger", headers={"x-sandbox-token": ""}).status == 403
        assert control(sandbox, "GET", "nonsense").status == 404
        assert control(sandbox, "POST", "clock", {"advance": "soon"}).status == 400


def test_controls_inject_messages_orders_and_time() -> None:
    with Sandbox(size={"orders": 0}, balance="50.00") as sandbox:
        order = control(sandbox, "POST", "order", {"product": product(sandbox, "Activation")}).json
        (booking,) = order["bookings"]
        control(sandbox, "POST", "sms", {"booking": booking, "text": "<b>1</b>", "sender": "X", "times": 2})
        control(sandbox, "POST", "sms", {"messages": [{"text": "a"}, {"text": "b"}]})
        assert control(sandbox, "POST", "sms", {"count": 120}).json == {"received": 120}
        assert len(control(sandbox, "GET", "sms").json) == 124
        assert len(get(sandbox, "/Sms")) == 100
        control(sandbox, "POST", "clock", {"advance": 1300})
        world = control(sandbox, "GET", "world").json
        assert (world["bookings"], world["running"], world["balance"]) == (1, [], "48.21")
        control(sandbox, "POST", "balance", {"add": "12.34"})
        assert str(get(sandbox, "/Balance")["accountBalanceInUSD"]) == "60.55"
        assert [row["origin"] for row in control(sandbox, "GET", "ledger").json] == ["elsewhere"]
        assert control(sandbox, "POST", "clock", {"shift": 0}).status == 200


def test_controls_change_faults_prices_and_renewals_and_tell_what_happened() -> None:
    with Sandbox(size={"orders": 0}) as sandbox:
        switched = control(sandbox, "POST", "faults", {"faults": {"error-before": 0.5}, "limit": 9}).json
        assert (switched["limit"], list(switched["faults"])) == (9, ["error-before"])
        assert control(sandbox, "POST", "faults", {"faults": {"x": 1}}).status == 400
        control(sandbox, "POST", "faults", {"faults": {}, "limit": None})
        wanted = product(sandbox, "RentalService")
        control(sandbox, "POST", "product", {"id": wanted, "price": "7.77"})
        row = call(sandbox, "POST", "/Orders", productId=wanted, amount=1).json
        assert str(row["priceInUSD"]) == "7.77"
        booking = {"id": row["bookings"][0]["id"]}
        assert control(sandbox, "POST", "booking", booking | {"auto_renewal": True}).json["auto_renewal"] is True
        assert control(sandbox, "POST", "booking", booking | {"end": True}).json["state"] == "Ended"
        (entry,) = control(sandbox, "GET", "calls").json
        assert (entry["method"], entry["path"], entry["status"]) == ("POST", "/api/v1/Orders", 200)
        assert [row["id"] for row in control(sandbox, "GET", "shown").json["orders"]] == [row["id"]]
        assert len(control(sandbox, "GET", "movements").json) == 2


def test_options_are_read_from_the_command_line() -> None:
    assert size("orders=5,sms=9") == {"orders": 5, "sms": 9}
    assert fault("reset-after=0.1,only=spends,seconds=3,times=2,path=/Orders") == (
        "reset-after",
        {"rate": 0.1, "only": "spends", "seconds": 3.0, "times": 2, "path": "/Orders"},
    )


def serve(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dashboard.sandbox", *options]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_program_says_where_it_serves_stays_small_and_ends_at_once(tmp_path: Path) -> None:
    with serve(
        "--port", "0", "--key", "K", "--state", str(tmp_path / "state"), "--fault", "latency=0.5,seconds=0.1"
    ) as program:
        assert program.stdout is not None
        line = program.stdout.readline()
        assert line.startswith("Sandbox: http://127.0.0.1:")
        url = line.split()[1]
        for path in ("/Sms", "/Orders", "/OrderBookings", "/Products"):
            assert request(url + path, headers={"X-API-Key": "K"}).status == 200
        status = Path(f"/proc/{program.pid}/status")
        if status.exists():
            rss = next(row for row in status.read_text().splitlines() if row.startswith("VmRSS"))
            assert int(rss.split()[1]) < 25_000
        began = time.monotonic()
        os.kill(program.pid, signal.SIGTERM)
        assert program.wait(5) == 0
        assert time.monotonic() - began < 1.5
    assert (tmp_path / "state").exists()


def test_a_taken_port_or_a_wrong_name_is_one_sentence() -> None:
    with Sandbox(size={"orders": 0}) as sandbox:
        port = sandbox.url.split(":")[2].split("/")[0]
        for options, words in ((["--port", port], "in use"), (["--wild", "x"], "no wild shape 'x'")):
            with serve(*options) as program:
                output, errors = program.communicate(timeout=10)
            assert (program.returncode, output, len(errors.splitlines())) == (2, "", 1)
            assert words in errors


def test_the_management_command_takes_the_same_options() -> None:
    from django.core.management import load_command_class

    parser = load_command_class("dashboard", "sandbox").create_parser("manage.py", "sandbox")
    options = parser.parse_args(["--port", "0", "--fault", "huge=0.1", "--limit", "5", "--quiet-world"])
    assert (options.port, options.limit, options.quiet_world) == (0, 5.0, True)
    assert options.fault == [("huge", {"rate": 0.1})]


def test_the_sandbox_imports_the_standard_library_and_itself_only() -> None:
    for file in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert all(name.name.split(".")[0] in sys.stdlib_module_names for name in node.names), file
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").split(".")[0] in sys.stdlib_module_names, file
