"""The Celery application: `celery -A anosim_dashboard.celery worker|beat`."""

import os
from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun

from . import request_id
from .clocked_celery import ClockedCelery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anosim_dashboard.settings")

app = ClockedCelery("anosim_dashboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["dashboard"])


@before_task_publish.connect
def _send_request_id(headers: dict[str, Any] | None = None, **_: object) -> None:
    if headers is not None and (mine := request_id.current()):
        headers["request_id"] = mine


@task_prerun.connect
def _take_request_id(task_id: str = "", task: Any = None, **_: object) -> None:
    """The id of the request that handed the task out; what beat began goes by the task's own."""
    said = task and (getattr(task.request, "request_id", None) or (task.request.headers or {}).get("request_id"))
    request_id.adopt(str(said or task_id.replace("-", "")[:16]))


@task_postrun.connect
def _drop_request_id(**_: object) -> None:
    request_id.adopt("")
