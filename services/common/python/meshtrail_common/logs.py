"""One JSON line on stdout for each thing worth knowing."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

# What machines ask all the time, so that it makes neither log lines nor spans. /health is that of the services of
# Bookinfo, /metrics that of its productpage.
HEALTH_PATHS = frozenset({"/health", "/healthz", "/metrics", "/readyz"})

# Libraries that tell every request, or every connection, at info or below.
_CHATTY = ("uvicorn", "waitress", "httpx", "httpcore", "asyncio", "opentelemetry", "urllib3", "werkzeug")

_access = logging.getLogger("access")


class JsonFormatter(logging.Formatter):
    """time, level, service, message, the record's `fields`, then what `context()` knows of the current request."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service
        self.context: Callable[[], Mapping[str, str]] = dict

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self.service,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
            **self.context(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(service: str, level: str) -> JsonFormatter:
    """Send the process's logs to stdout as JSON lines; return the formatter, whose `context` may be replaced."""
    formatter = JsonFormatter(service)
    # Names from the wire may hold anything; a log line must not fail for it.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # A reader of the logs that went away must not cost a request.
    logging.raiseExceptions = False
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Said for each request that waits a moment for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    return formatter


def access(method: str, path: str, status: int, started: float, request_id: str | None, error: str | None) -> None:
    """Log one answered request, health checks left out; `started` is time.perf_counter() at its begin."""
    if path in HEALTH_PATHS:
        return
    fields: dict[str, Any] = {
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round((time.perf_counter() - started) * 1000, 3),
    }
    if request_id:
        fields["request_id"] = request_id
    if error:
        fields["error"] = error
    level = logging.ERROR if status >= 500 else logging.INFO
    _access.log(level, "%s %s %d", method, path, status, extra={"fields": fields})
