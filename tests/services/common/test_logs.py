"""Log lines: one JSON object each, whatever is in them."""

from __future__ import annotations

import json
import logging
import time

import pytest

from meshtrail_common import logs


def line(message: str, formatter: logs.JsonFormatter | None = None, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("app", logging.INFO, "file", 1, message, (), None)
    record.__dict__.update(extra)
    text = (formatter or logs.JsonFormatter("frontend")).format(record)
    assert "\n" not in text
    content: dict[str, object] = json.loads(text)
    return content


def test_fields() -> None:
    content = line("hello", fields={"status": 200})
    assert content.pop("time")
    assert content == {"level": "info", "service": "frontend", "message": "hello", "status": 200}


@pytest.mark.parametrize("message", ["a\nb", 'quote " and \\', "\x00\x1b[31m", "caf\u00e9 \u2603", "%s %d"])
def test_anything_fits_in_one_line(message: str) -> None:
    assert line(message)["message"] == message


def test_context_of_the_request() -> None:
    formatter = logs.JsonFormatter("frontend")
    formatter.context = lambda: {"trace_id": "1"}
    assert line("x", formatter)["trace_id"] == "1"


def test_exception_stays_on_the_line() -> None:
    try:
        raise RuntimeError("broken")
    except RuntimeError as error:
        content = line("x", exc_info=(RuntimeError, error, error.__traceback__))
    assert "RuntimeError: broken" in str(content["exception"])


def test_access_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "access"):
        logs.access("GET", "/healthz", 200, time.perf_counter(), None, None)
        logs.access("GET", "/readyz", 503, time.perf_counter(), None, None)
        logs.access("GET", "/", 502, time.perf_counter(), "id", "upstream")
    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert record.levelno == logging.ERROR
    assert fields.pop("duration_ms") >= 0
    assert fields == {"method": "GET", "path": "/", "status": 502, "request_id": "id", "error": "upstream"}
