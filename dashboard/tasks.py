"""Celery entries. Each loads by id, calls one function and logs one line; arguments are ids."""

import logging
from uuid import UUID

from anosim_dashboard import shared_clock
from anosim_dashboard.celery import app

from . import retention
from .alerts import keeping, telling
from .models import AuditHead, Heartbeat
from .purchases import changing, sending, settling, sweeping
from .sync import runs, schedule, single

logger = logging.getLogger(__name__)


@app.task
def tick() -> None:
    """Hand out what is due. Beat sends this each second; a tick that nobody took by the next one expires."""
    if Heartbeat.objects.beat(shared_clock.now()):
        logger.warning("The clock was set back: %s rows were dated ahead", schedule.clock_set_back())
    schedule.ensure_states()
    for state_id, number in schedule.claim_due():
        read.apply_async((state_id, number), expires=schedule.QUEUE_SECONDS)
    for what, purchase_id in sweeping.due():
        (send_purchase if what == "send" else settle_purchase).apply_async((str(purchase_id),), expires=30)
    for change_id in sweeping.due_changes():
        change_booking.apply_async((change_id,), expires=30)
    if keeping.is_due(shared_clock.now()):
        look_for_alerts.apply_async(expires=keeping.EVERY.total_seconds())
    for notice_id in telling.due():
        send_alert.apply_async((notice_id,), expires=telling.LEASE.total_seconds())
    for account_id in retention.due():
        blank_old_texts.apply_async((account_id,), expires=retention.LEASE.total_seconds())


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


@app.task
def send_purchase(purchase_id: str) -> None:
    """Send a queued purchase at most once; whatever runs this twice finds it already on its way."""
    pk = UUID(purchase_id)
    status = sending.send(pk)
    logger.info("purchase %s: %s", purchase_id, status)
    if status in ("waits", "taken"):
        return
    if status == "unknown":
        settle_purchase.apply_async((purchase_id,), expires=30)
    if (following := sweeping.following(pk)) is not None:
        send_purchase.apply_async((str(following),), expires=30)


@app.task
def settle_purchase(purchase_id: str) -> None:
    logger.info("purchase %s: %s", purchase_id, settling.settle(UUID(purchase_id)))


@app.task
def change_booking(change_id: int) -> None:
    logger.info("change %s: %s", change_id, changing.apply(change_id))


@app.task
def blank_old_texts(account_id: int) -> None:
    logger.info("texts of account %s: %s blanked", account_id, retention.blank_old_texts(account_id))


@app.task
def note_audit_heads() -> None:
    """Beat sends this each midnight: so the ends of the chains of audit events also stand outside of the database."""
    for head in AuditHead.objects.order_by("chain"):
        logger.info("audit head %s", head)


@app.task
def look_for_alerts() -> None:
    logger.debug("alerts: %s moved", keeping.look())


@app.task
def send_alert(notice_id: int) -> None:
    logger.info("alert notice %s: %s", notice_id, telling.send(notice_id))


@app.task
def test_alert_channel(channel_id: int) -> None:
    logger.info("alert channel %s: %s", channel_id, telling.test(channel_id))
