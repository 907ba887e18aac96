"""The sandbox as a program: its options, and serving until told to stop.

Shared by `python -m` and `manage.py sandbox`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from .control import PATHS, PREFIX, TOKEN_HEADER
from .faults import FAULTS, RETRY_AFTER
from .history import DEFAULT_SIZE
from .server import Sandbox
from .shapes import WILD

SIZE_TEXT = "orders=60,bookings=140,sms=300"
DESCRIPTION = "A stand-in for the ANOSIM API over real HTTP: bookings that receive SMS, and faults on request."


def epilog() -> str:
    """The names that --fault and --wild take, and the control paths, each with what it does."""
    blocks = [
        ("faults (--fault)", FAULTS),
        ("wild shapes (--wild)", WILD),
        (f"control ({PREFIX}…, {TOKEN_HEADER})", PATHS),
    ]
    return "\n\n".join(
        f"{title}:\n" + "\n".join(f"  {name:<16} {text}" for name, text in rows.items()) for title, rows in blocks
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All options of the program, on any parser."""
    parser.description = DESCRIPTION
    parser.epilog = epilog()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for flag, options in (_SERVER | _WORLD | _FAULTS).items():
        parser.add_argument(flag, **options)


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value


def size(text: str) -> dict[str, int]:
    """`orders=60,bookings=140,sms=300` as a dict; any of the three may be left out."""
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if set(parts) - set(DEFAULT_SIZE) or not all(value.isdigit() for value in parts.values()):
        raise argparse.ArgumentTypeError(f"must look like {SIZE_TEXT}")
    return {name: int(value) for name, value in parts.items()}


def fault(text: str) -> tuple[str, dict[str, Any]]:
    """`NAME=0.1,only=spends,seconds=3,times=2,path=/Orders` as a name and its options."""
    first, *rest = text.split(",")
    name, rate = wild(first)
    options: dict[str, Any] = {"rate": rate}
    for part in rest:
        option, _, value = part.partition("=")
        kinds: dict[str, type] = {"only": str, "seconds": float, "times": int, "path": str}
        if option not in kinds:
            raise argparse.ArgumentTypeError(f"{option!r} is none of {', '.join(kinds)}")
        options[option] = kinds[option](value)
    return name, options


def wild(text: str) -> tuple[str, float]:
    """`NAME=0.3` as a name and a rate; without a rate it is 1."""
    name, _, rate = text.partition("=")
    return name, float(rate) if rate else 1.0


_SERVER: dict[str, dict[str, Any]] = {
    "--host": {"default": "127.0.0.1", "help": "address to listen on (%(default)s)"},
    "--port": {"type": int, "default": 8765, "help": "port to listen on, 0 for a free one (%(default)s)"},
    "--key": {"action": "append", "help": "API key to accept; may be given again (sandbox-key)"},
    "--state": {"type": Path, "metavar": "FILE", "help": "keep the world there over restarts"},
    "--ledger": {"type": Path, "metavar": "FILE", "help": "append each sale there before it is answered"},
    "--control-token": {
        "default": "",
        "metavar": "TOKEN",
        "help": "open the control paths to this token (closed)",
    },
    "--control-port": {"type": int, "metavar": "N", "help": "serve the control paths on this port as well"},
}
_WORLD: dict[str, dict[str, Any]] = {
    "--seed": {"type": int, "default": 1, "help": "same seed, same start (%(default)s)"},
    "--speed": {
        "type": _positive,
        "default": 1.0,
        "help": "life goes so many times as fast; the clock does not",
    },
    "--quiet-world": {"action": "store_true", "help": "nothing happens but what calls and controls do"},
    "--sms-per-minute": {"type": float, "default": 4.0, "help": "SMS to numbers long in use (%(default)s)"},
    "--hostile": {
        "type": float,
        "default": 0.01,
        "help": "share of SMS that attack the reader (%(default)s)",
    },
    "--size": {"type": size, "default": {}, "metavar": SIZE_TEXT, "help": "how much history to begin with"},
    "--balance": {"default": "418.60", "help": "balance in USD at the start (%(default)s)"},
}
_FAULTS: dict[str, dict[str, Any]] = {
    "--fault": {
        "action": "append",
        "type": fault,
        "default": [],
        "metavar": "NAME[=RATE][,only=KIND][,seconds=N][,times=N][,path=P]",
        "help": "switch a fault on; KIND is reads, spends, changes or all; may be given again",
    },
    "--wild": {
        "action": "append",
        "type": wild,
        "default": [],
        "metavar": "NAME[=RATE]",
        "help": "answer in a wild shape, or in all of them; may be given again",
    },
    "--limit": {"type": _positive, "metavar": "N", "help": "calls per second, beyond that 429"},
    "--retry-after": {"choices": RETRY_AFTER, "default": "number", "help": "what 429 says (%(default)s)"},
}


def build(options: argparse.Namespace) -> Sandbox:
    """The sandbox that the options ask for; raises ValueError in words if they make no sense."""
    keys = options.key or ["sandbox-key"]
    return Sandbox(
        seed=options.seed,
        quiet=options.quiet_world,
        host=options.host,
        port=options.port,
        key=keys[0],
        more_keys=tuple(keys[1:]),
        size=options.size,
        balance=options.balance,
        faults=dict(options.fault),
        wild=dict(options.wild),
        limit=options.limit,
        retry_after=options.retry_after,
        speed=options.speed,
        sms_per_minute=options.sms_per_minute,
        hostile=options.hostile,
        ledger=options.ledger,
        state_file=options.state,
        control_token=options.control_token,
        control_port=options.control_port,
    )


def serve(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code: 0, or 2 after one sentence on what is wrong."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        sandbox = build(options)
        sandbox.start()
    except (ValueError, ArithmeticError) as error:
        print(f"Sandbox: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{options.host}:{options.port}"
        print(f"Sandbox: cannot use {error.filename or where}: {error.strerror}.", file=sys.stderr)
        return 2
    print(f"Sandbox: {sandbox.url}", flush=True)
    stop.wait()
    sandbox.stop()
    return 0
