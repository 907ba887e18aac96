"""How a log line looks: plain for people, or one JSON object for what collects logs (LOG_FORMAT).

Both are one line each, traceback aside, whatever somebody put into a path or a name; both carry the id of the request
that the work was begun by.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

from . import request_id

# What would end a line, move the cursor or colour the terminal.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str) -> str:
    """The text with control characters written out, so that it cannot pose as another line."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class RequestId(logging.Filter):
    """Puts `request_id` on every record: of the web request, or of the one that a task was handed out by."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.current()
        return True


class PlainLine(logging.Formatter):
    """ "2026-11-24 12:00:00,123 INFO dashboard.tasks [4f1c…]: purchase …: confirmed"."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        mark = f" [{id_}]" if (id_ := getattr(record, "request_id", "")) else ""
        return f"{self.formatTime(record)} {record.levelname} {record.name}{mark}: {one_line(record.message)}"


class JsonLine(logging.Formatter):
    """{"at": UTC, "level": …, "logger": …, "message": …, "request_id": …, "trace": …}, the last two where there are."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if id_ := getattr(record, "request_id", ""):
            line["request_id"] = id_
        if record.exc_info or record.exc_text:
            line["trace"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        return json.dumps(line)
