"""Traces in OTLP/JSON, from the model: what a Collector writes and Jaeger's v3 API answers."""

from __future__ import annotations

from typing import Any

from meshtrail.model.trace import Trace

OTLP_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def as_otlp(trace: Trace) -> dict[str, Any]:
    """The trace as a document in OTLP/JSON, without what Jaeger adds."""
    resources = []
    for service in trace.services:
        spans = [_otlp_span(span) for span in trace.spans if span.service == service]
        resource = {"attributes": [_attribute("service.name", service)]}
        resources.append({"resource": resource, "scopeSpans": [{"scope": {"name": "envoy"}, "spans": spans}]})
    return {"resourceSpans": resources}


def _otlp_span(span: Any) -> dict[str, Any]:
    made_by_jaeger = ("span.kind", "error", "otel.")
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id or "",
        "name": span.name,
        "kind": OTLP_KINDS[span.kind],
        "startTimeUnixNano": str(span.start_us * 1000),
        "endTimeUnixNano": str(span.end_us * 1000),
        "attributes": [_attribute(k, v) for k, v in span.tags.items() if not k.startswith(made_by_jaeger)],
        "status": {"code": 2 if span.error else 0},
    }


def _attribute(key: str, value: object) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": str(value)}}
