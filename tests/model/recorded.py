"""The traces that a real Istio produced (tests/parity/recorded), as model and as Jaeger's JSON.

Each recorded trace starts at 0, so the second one of a broken request is placed in the middle of the innermost span of
the first, and all of it at one moment. In the recordings that came through Zipkin the true places are in the logs.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from meshtrail.model.span import Span
from meshtrail.model.trace import Trace

FOLDER = Path(__file__).parents[1] / "parity" / "recorded"
EPOCH_US = 1_795_000_000_000_000

BROKEN = {
    "otlp-backend-none": "backend.default",
    "otlp-backend-b3": "backend.default",
    "otlp-frontend-none": "frontend.default",
    "jaeger-b3-backend-none": "backend.default",
}
"""Situation -> the service that dropped the headers."""

WHOLE = (
    "application-error",
    "client-b3",
    "fault-abort",
    "fault-delay",
    "headers-remove",
    "health-traced",
    "jaeger-b3-all",
    "jaeger-b3-backend-b3",
    "jaeger-b3-w3c-all",
    "jaeger-b3-w3c-backend-b3",
    "jaeger-b3-w3c-backend-w3c",
    "otlp-all",
    "otlp-database-none",
    "otlp-frontend-w3c",
    "retry",
    "tcp-named-port",
    "telemetry-custom-tags",
    "virtualservice-default",
    "virtualservice-named-match",
)
"""Situations that gave one complete trace."""

PARENT_OUTSIDE = ("client-traceparent-sampled", "jaeger-b3-w3c-client-traceparent")
"""Situations in which the client sent the trace context: one whole piece whose root is outside the mesh."""


def recorded(situation: str, *, at_us: int = EPOCH_US) -> tuple[Trace, ...]:
    """The traces of a situation, the first beginning at `at_us`."""
    traces: list[Trace] = []
    for item in _read(situation)["traces"]:
        offset = at_us
        if traces:
            inner = traces[0].spans[-1]
            length = max(span["start_us"] + span["duration_us"] for span in item["spans"])
            offset = inner.start_us + (inner.duration_us - length) // 2
        traces.append(Trace.of(_span(span, item["trace"], offset + span["start_us"]) for span in item["spans"]))
    return tuple(traces)


def recorded_at_true_times(situation: str) -> tuple[Trace, ...]:
    """As `recorded`, for Zipkin recordings alone: the log `ss` or `cr` of a span tells its end on the clock."""
    return tuple(
        Trace.of(
            _span(span, item["trace"], span["logs"][0]["timestamp"] - span["duration_us"]) for span in item["spans"]
        )
        for item in _read(situation)["traces"]
    )


def as_jaeger(trace: Trace) -> dict[str, Any]:
    """A trace as an element of `data` in Jaeger's answer."""
    return {
        "traceID": trace.trace_id,
        "spans": [
            {
                "traceID": span.trace_id,
                "spanID": span.span_id,
                "operationName": span.name,
                "references": [{"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_id}]
                if span.parent_id
                else [],
                "startTime": span.start_us,
                "duration": span.duration_us,
                "tags": [
                    {"key": key, "type": "bool" if isinstance(value, bool) else "string", "value": value}
                    for key, value in span.tags.items()
                ],
                "logs": [],
                "processID": f"p{trace.services.index(span.service)}",
                "warnings": None,
            }
            for span in trace.spans
        ],
        "processes": {f"p{at}": {"serviceName": name, "tags": []} for at, name in enumerate(trace.services)},
        "warnings": None,
    }


@cache
def _read(situation: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((FOLDER / f"{situation}.json").read_text("utf-8"))
    return data


def _span(span: dict[str, Any], trace_id: str, start_us: int) -> Span:
    return Span(
        trace_id=trace_id,
        span_id=span["span"],
        parent_id=span["parent"],
        service=span["service"],
        name=span["operation"],
        kind=span["kind"],
        start_us=start_us,
        duration_us=span["duration_us"],
        tags=span["tags"],
        process_tags=span["process_tags"],
    )
