"""What the otel form adds to the SDK: the switched propagator, the defaults, the limit on complaints."""

from __future__ import annotations

import logging
import re

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from meshtrail_common.propagation import Switch
from meshtrail_common.settings import StartError, load
from meshtrail_common.telemetry import HEALTH_URLS, OtelSettings, SeldomComplaints, SwitchedPropagator

B3 = {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled"}


def propagator(names: str, mode: str) -> SwitchedPropagator:
    return SwitchedPropagator(load(OtelSettings, {"OTEL_PROPAGATORS": names}).propagators, Switch(mode))


def injected(names: str, mode: str) -> set[str]:
    context = trace.set_span_in_context(NonRecordingSpan(SpanContext(1, 2, False, TraceFlags(1))))
    carrier: dict[str, str] = {}
    propagator(names, mode).inject(carrier, context)
    return set(carrier)


@pytest.mark.parametrize(
    ("mode", "expected"), [("all", B3 | {"traceparent"}), ("b3", B3), ("w3c", {"traceparent"}), ("none", set())]
)
def test_mode_decides_what_is_injected(mode: str, expected: set[str]) -> None:
    assert injected("b3multi,tracecontext,baggage", mode) == expected


def test_variable_decides_which_formats_there_are() -> None:
    assert injected("b3", "all") == {"b3"}
    assert injected("tracecontext", "b3") == set()
    assert injected("none", "all") == set()


@pytest.mark.parametrize(("names", "winner"), [("b3multi,tracecontext", 10), ("tracecontext,b3multi", 11)])
@pytest.mark.parametrize("mode", ["all", "none"])
def test_last_listed_wins_and_the_mode_does_not_matter_to_it(names: str, winner: int, mode: str) -> None:
    carrier = {"traceparent": f"00-{10:032x}-{1:016x}-01", "x-b3-traceid": f"{11:032x}", "x-b3-spanid": f"{1:016x}"}
    context = propagator(names, mode).extract(carrier)
    assert trace.get_current_span(context).get_span_context().trace_id == winner


def test_defaults() -> None:
    settings = load(OtelSettings, {})
    assert (settings.endpoint, settings.timeout, settings.delay) == ("http://127.0.0.1:4318", 2.0, 200)
    assert (settings.sampler, settings.exporter) == ("parentbased_always_on", "otlp")


def test_unknown_propagator() -> None:
    with pytest.raises(StartError, match="OTEL_PROPAGATORS='jaeger' is not allowed, expected none, or some of"):
        load(OtelSettings, {"OTEL_PROPAGATORS": "jaeger"})


@pytest.mark.parametrize(
    ("url", "health"),
    [
        ("http://backend:8080/healthz", True),
        ("http://backend:8080/readyz?probe=1", True),
        ("http://backend:8080/api/data", False),
        ("http://backend:8080/api/data?next=/healthz", False),
        ("http://backend:8080/x/healthz", False),
        ("http://backend:8080/healthzz", False),
    ],
)
def test_health_urls(url: str, health: bool) -> None:
    assert bool(re.search(HEALTH_URLS, url)) is health


def test_complaints_of_the_sdk_are_seldom() -> None:
    complaints = SeldomComplaints()

    def passes(name: str, created: float) -> bool:
        record = logging.LogRecord(name, logging.WARNING, "file", 1, "x", (), None)
        record.created = created
        return complaints.filter(record)

    assert [passes("opentelemetry.exporter", at) for at in (0.0, 1.0, 29.9, 30.0, 31.0)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert passes("access", 31.0)
