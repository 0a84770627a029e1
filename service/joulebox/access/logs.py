"""The server's log: lines for people or JSON objects for programs, each with the request that it came from.

No line holds a payload or a key. Whatever a client chose (paths, names, ids) is cut to a length, and control characters are
escaped, so that no client can forge a line or steer a terminal.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
import re
import sys
import time
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, Literal, TextIO

MESSAGE_MAX = 4096
FIELD_MAX = 1024
FIELDS_MAX = 32
EXCEPTION_MAX = 16_384

ORIGIN: ContextVar[tuple[bytes, str]] = ContextVar("origin", default=(b"", ""))
"""The request that this task answers: its id, and its trace id where it has one."""

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# C0 and C1 controls, line and paragraph separators, what turns the direction of text around, and lone surrogates
_CONTROLS = [
    *(*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029),
    *(*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)),
]
_ESCAPES = {code: f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}" for code in _CONTROLS} | {
    0x0A: "\\n",
    0x0D: "\\r",
}

access = logging.getLogger("joulebox.access")


class RequestIds:
    """Ids of requests: what the client says in `X-Request-Id`, else this process's random start and a count."""

    def __init__(self) -> None:
        self._start = os.urandom(6).hex().encode()
        self._count = itertools.count(1)

    def of(self, header: bytes) -> bytes:
        """The id, which the answer repeats. A header that is empty, too long or of odd characters is as good as none."""
        if header and _SANE_ID.fullmatch(header):
            return header
        return b"%s-%x" % (self._start, next(self._count))


def log_access(method: str, path: str, status: int, started_s: float, client: str) -> None:
    """One line for an answered request; `started_s` is on `time.perf_counter`'s clock."""
    fields = {
        "method": method,
        "path": path,
        "status": status,
        "ms": round(1e3 * (time.perf_counter() - started_s), 3),
        "client": client,
    }
    access.info("%s %s %d", method, path[:FIELD_MAX], status, extra=fields)


def configure_logging(form: Literal["text", "json"], *, access_log: bool = False, stream: TextIO | None = None) -> None:
    """Makes one handler, ours, that of the process.

    BentoML has set handlers up by then (`configure_server_logging`, before it loads the service), which are taken out: on the
    root logger, and on those of BentoML, uvicorn and circus. Warnings of anything are shown, and what Joulebox and BentoML say
    of themselves. Called before BentoML builds its application, which so leaves its own access log out.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    for name in [None, *logging.root.manager.loggerDict]:
        if name is None or name.partition(".")[0] in {"joulebox", "bentoml", "uvicorn", "circus"}:
            logger = logging.getLogger(name)
            for old in list(logger.handlers):
                logger.removeHandler(old)
            logger.propagate = True
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    for name in ("joulebox", "bentoml"):
        logging.getLogger(name).setLevel(logging.INFO)
    access.setLevel(logging.INFO if access_log else logging.WARNING)
    logging.getLogger("bentoml.access").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").propagate = False  # without a handler in sight uvicorn builds no lines at all


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: time, level, logger, message, then what is known of request_id, trace_id and the rest."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _cut(record.getMessage(), MESSAGE_MAX),
            **_origin(),
        }
        for name, value in _extra(record).items():
            line.setdefault(name, _plain(value))
        if exception := _exception(self, record):
            line["exception"] = exception
        return json.dumps(line)  # escapes all but ASCII, so controls and separators too


class TextFormatter(logging.Formatter):
    """One line for a person; a traceback follows indented, so that none of its lines can pass for another record."""

    def format(self, record: logging.LogRecord) -> str:
        known = {**_origin(), **{name: _plain(value) for name, value in _extra(record).items()}}
        if record.name == access.name:
            known = {name: value for name, value in known.items() if name not in {"method", "path", "status"}}
        message = _cut(record.getMessage(), MESSAGE_MAX).translate(_ESCAPES)
        tail = "".join(f" {name}={value}" for name, value in known.items()).translate(_ESCAPES)
        line = f"{_time(record)} {record.levelname} {record.name}: {message}{tail}"
        for part in _exception(self, record).split("\n"):
            line += f"\n    {part.translate(_ESCAPES)}" if part else ""
        return line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")


def _origin() -> dict[str, str]:
    request_id, trace_id = ORIGIN.get()
    known = {"request_id": request_id.decode(), "trace_id": trace_id}
    return {name: value for name, value in known.items() if value}


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    named = ((name, value) for name, value in vars(record).items() if name not in _STANDARD)
    return {name[:FIELD_MAX]: value for name, value in itertools.islice(named, FIELDS_MAX)}


def _plain(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _cut(value if isinstance(value, str) else str(value), FIELD_MAX)


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Of a long one the end, which says what was wrong."""
    text = formatter.formatException(record.exc_info) if record.exc_info else ""
    return text if len(text) <= EXCEPTION_MAX else f"…{text[-EXCEPTION_MAX:]}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
