"""The process that buys: reads orders as JSON lines, does each in a child of its own, which may be killed.

Django is set up once; each child is a fork that has opened nothing yet, so it is a worker that has just started.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any
from uuid import UUID


def main() -> None:
    import django

    django.setup()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_in_a_child(json.loads(line))), flush=True)


def _in_a_child(command: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _act(command)
            status = 0
        finally:
            if status:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(status)
    _, code = os.waitpid(pid, 0)
    return {"status": os.waitstatus_to_exitcode(code), "seconds": time.monotonic() - began}


def _act(command: dict[str, Any]) -> None:
    from dashboard.purchases import failpoints, sending

    failpoints._armed = command.get("failpoint", "")
    for name, value in command.get("patch", {}).items():
        setattr(sending, name, value)
    for act, *arguments in command["acts"]:
        _ACTS[act](*arguments)


def _queue(form: dict[str, Any]) -> None:
    from decimal import Decimal

    from dashboard.models import Booking, Product, User
    from dashboard.purchases import intents

    form = dict(form)
    user, product = User.objects.get(pk=form.pop("user")), Product.objects.get(pk=form.pop("product"))
    booking = Booking.objects.get(pk=form.pop("booking")) if form.get("booking") else None
    token, price = UUID(form.pop("token")), Decimal(form.pop("price"))
    form.pop("booking", None)
    intents.queue(intents.Wish(user=user, product=product, price=price, token=token, booking=booking, **form))


def _purchase(token: str) -> Any:
    from dashboard.models import Purchase

    return Purchase.objects.get(token=token)


def _send(token: str) -> None:
    from dashboard.purchases import sending

    sending.send(_purchase(token).pk)


def _withdraw(token: str) -> None:
    from dashboard.purchases import intents

    purchase = _purchase(token)
    intents.withdraw(purchase, purchase.requested_by)


def _decide(token: str, remote_id: int | None) -> None:
    from dashboard.models import Order
    from dashboard.purchases import settling

    purchase = _purchase(token)
    order = Order.objects.get(account=purchase.account, remote_id=remote_id) if remote_id else None
    settling.decide_by_hand(purchase, purchase.requested_by, "It says so on the invoice.", order)


def _age(token: str) -> None:
    from tests.buying import let_time_pass

    let_time_pass(_purchase(token))


def _work(seconds: float) -> None:
    from tests.buying import work

    work(seconds)


_ACTS: dict[str, Callable[..., None]] = {
    "queue": _queue,
    "send": _send,
    "withdraw": _withdraw,
    "decide": _decide,
    "age": _age,
    "work": _work,
}

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anosim_dashboard.settings")
    main()
