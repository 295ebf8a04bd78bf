"""The span around a call to another service (calls.py), by OpenTelemetry's stable names. Only the otel form has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import Setter
from opentelemetry.trace import SpanKind, StatusCode

from meshtrail_common.calls import Answered, Calls, Headers


class _HeaderSetter(Setter[Headers]):
    def set(self, carrier: Headers, key: str, value: str) -> None:
        carrier.append((key.encode("ascii"), value.encode("latin-1")))


_SETTER = _HeaderSetter()


def client_spans() -> None:
    """Put a span around each call from now on; the next service gets it as its parent."""
    tracer = trace.get_tracer("meshtrail")

    @contextmanager
    def span(url: str, headers: Headers) -> Iterator[Answered]:
        parts = urlsplit(url)
        attributes: dict[str, str | int] = {
            "http.request.method": "GET",
            "url.full": url,
            "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        }
        # An exception is recorded, and makes the span an error.
        with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=attributes) as current:
            propagate.inject(headers, setter=_SETTER)

            def answered(status: int) -> None:
                current.set_attribute("http.response.status_code", status)
                if status >= 400:
                    current.set_attribute("error.type", str(status))
                    current.set_status(StatusCode.ERROR)

            yield answered

    Calls.span = staticmethod(span)
