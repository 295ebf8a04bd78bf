"""OpenTelemetry for the otel form. The plain form never imports this module.

The SDK is configured by its standard OTEL_* variables; this module sets our defaults where a variable is absent. What
is injected into outgoing requests passes the propagation switch, as the copied headers do.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import requests
from opentelemetry import propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from meshtrail_common import environment
from meshtrail_common.forwarding import HEADERS
from meshtrail_common.logs import HEALTH_PATHS
from meshtrail_common.propagation import Switch
from meshtrail_common.settings import HTTP_URL, SECONDS, TEXT, Kind, choice, load, number, variable, variables

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

    from meshtrail_common.serve import Service

# What waiting for a collector that is down may cost at the end; with the rest of the end that is below two seconds.
FLUSH_SECONDS = 1.2

PROPAGATORS: dict[str, type[TextMapPropagator]] = {
    "tracecontext": TraceContextTextMapPropagator,
    "baggage": W3CBaggagePropagator,
    "b3": B3SingleFormat,
    "b3multi": B3MultiFormat,
}

# FastAPI's own server span, and nothing of what it can add to it.
FASTAPI_SPANS: TelemetryConfig = {
    "operation_spans": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
    "exclude": lambda scope: scope.get("path") in HEALTH_PATHS,
}
# The same for Flask's instrumentation: a regular expression over the whole URL.
HEALTH_URLS = "^[^/]*//[^/]*(" + "|".join(sorted(HEALTH_PATHS)) + r")(\?|$)"

_log = logging.getLogger("telemetry")


def _propagators(value: str) -> CompositePropagator:
    names = [name.strip() for name in value.split(",")]
    if names == ["none"]:
        return CompositePropagator([])
    if unknown := [name for name in names if name not in PROPAGATORS]:
        raise ValueError(unknown)
    return CompositePropagator([PROPAGATORS[name]() for name in names])


PROPAGATOR_NAMES = Kind(_propagators, "none, or some of " + ", ".join(PROPAGATORS) + " with comma between them")
SAMPLER = choice(
    *(prefix + name for prefix in ("", "parentbased_") for name in ("always_on", "always_off", "traceidratio"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtelSettings:
    """The OTEL_* variables for which this application has a default of its own; the SDK reads all others too."""

    service_name: str = variable("OTEL_SERVICE_NAME", "", TEXT, "service.name of the spans, the service when empty")
    endpoint: str = variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", HTTP_URL, "OTLP/HTTP collector (protobuf)"
    )
    exporter: str = variable("OTEL_TRACES_EXPORTER", "otlp", choice("otlp", "none"), "none: spans are made, not sent")
    timeout: float = variable("OTEL_EXPORTER_OTLP_TIMEOUT", "2", SECONDS, "how long one export may take")
    delay: int = variable(
        "OTEL_BSP_SCHEDULE_DELAY", "200", number(1, 60_000, " (milliseconds)"), "how long a finished span may wait"
    )
    propagators: CompositePropagator = variable(  # noqa: RUF009
        "OTEL_PROPAGATORS",
        "b3multi,tracecontext,baggage",
        PROPAGATOR_NAMES,
        "formats read and written; of those that arrive the last listed wins",
    )
    sampler: str = variable("OTEL_TRACES_SAMPLER", "parentbased_always_on", SAMPLER, "parentbased: the sidecar decides")
    conventions: str = variable(
        "OTEL_SEMCONV_STABILITY_OPT_IN", "http,database", TEXT, "stable names of HTTP and SQL attributes"
    )


class SwitchedPropagator(TextMapPropagator):
    """Injects only what the propagation switch lets pass; extracts everything."""

    def __init__(self, inner: TextMapPropagator, switch: Switch) -> None:
        self.inner = inner
        self.switch = switch

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        return self.inner.extract(carrier, context, getter)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        groups = HEADERS.modes[self.switch.mode]
        headers: dict[str, str] = {}
        self.inner.inject(headers, context)
        for name, value in headers.items():
            if HEADERS.group(name) in groups:
                setter.set(carrier, name, value)

    @property
    def fields(self) -> set[str]:
        return self.inner.fields


@contextmanager
def tracing(service: Service[Any]) -> Iterator[None]:
    """Set up the SDK from the environment, and flush what it holds at the end."""
    settings = load(OtelSettings, os.environ | {"OTEL_PROPAGATORS": environment.PROPAGATORS})
    for _, entry in variables(OtelSettings):
        os.environ[entry.name] = os.environ.get(entry.name) or entry.default
    os.environ["OTEL_SERVICE_NAME"] = settings.service_name or service.name

    provider = TracerProvider(shutdown_on_exit=False)
    if settings.exporter == "otlp":
        session = requests.Session()
        session.trust_env = False  # no proxy between a service and its collector
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(session=session)))
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(SwitchedPropagator(settings.propagators, service.switch))
    # The SDK writes these two groups itself; the other tracing headers are copied as in the plain form.
    service.forward.injected = frozenset({"b3", "w3c"})
    service.log_formatter.context = trace_ids
    for handler in logging.getLogger().handlers:
        handler.addFilter(SeldomComplaints())
    try:
        yield
    finally:
        _shut_down(provider)


def _shut_down(provider: TracerProvider) -> None:
    """Send the last spans, but do not wait for a collector that is down."""
    # The SDK's own limit is half a minute, and its export does not heed it.
    worker = threading.Thread(target=provider.shutdown, name="flush", daemon=True)
    worker.start()
    worker.join(FLUSH_SECONDS)
    if worker.is_alive():
        _log.warning("the collector did not take the last spans within %g s", FLUSH_SECONDS)


class SeldomComplaints(logging.Filter):
    """Lets one line of the SDK pass in half a minute: without a collector it has one to say for each export."""

    seconds = 30.0

    def __init__(self) -> None:
        super().__init__()
        self._last = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("opentelemetry."):
            return True
        if record.created - self._last < self.seconds:
            return False
        self._last = record.created
        return True


def trace_ids() -> Mapping[str, str]:
    """Return what a log line carries of the current span."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format(context.trace_id, "032x"), "span_id": format(context.span_id, "016x")}


def record_error(error: Exception) -> None:
    """Record an exception on the current span."""
    span = trace.get_current_span()
    span.record_exception(error)
    span.set_status(StatusCode.ERROR, str(error))


class Table(Protocol):
    """What a SQL span tells of the store it asks."""

    system: str
    namespace: str
    address: str | None
    port: int | None
    table: str
    query: str


def sql_span(store: Table) -> AbstractContextManager[trace.Span]:
    """Open the span of a SELECT, named and attributed by the stable database conventions."""
    attributes: dict[str, str | int] = {
        "db.system.name": store.system,
        "db.namespace": store.namespace,
        "db.operation.name": "SELECT",
        "db.collection.name": store.table,
        "db.query.text": store.query,
    }
    if store.address:
        attributes["server.address"] = store.address
    if store.port:
        attributes["server.port"] = store.port
    tracer = trace.get_tracer("database")
    return tracer.start_as_current_span(f"SELECT {store.table}", kind=SpanKind.CLIENT, attributes=attributes)
