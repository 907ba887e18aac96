"""Celery entries. Each loads by id, calls one function and logs one line; arguments are ids."""

import logging

from anosim_dashboard.celery import app

from .sync import runs, schedule, single

logger = logging.getLogger(__name__)


@app.task
def tick() -> None:
    """Hand out what is due. Beat sends this each second; a tick that nobody took by the next one expires."""
    schedule.ensure_states()
    for state_id, number in schedule.claim_due():
        read.apply_async((state_id, number), expires=schedule.QUEUE_SECONDS)


@app.task
def read(state_id: int, number: int) -> None:
    """Do one claimed run of a sync row, and hand out the next if the row is due again already."""
    logger.debug("read %s, run %s: %s", state_id, number, runs.run(state_id, number))
    if (following := schedule.claim_again(state_id)) is not None:
        read.apply_async((state_id, following), expires=schedule.QUEUE_SECONDS)


@app.task
def refresh_product(product_id: int) -> None:
    logger.info("product %s: %s", product_id, single.refresh_product(product_id))


@app.task
def test_key(account_id: int) -> None:
    logger.info("key of account %s: %s", account_id, single.test_key(account_id))
