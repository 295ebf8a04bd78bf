"""Requests as JSON: the stable shape of `meshtrail trace --json`, described in docs/reading-traces.md.

Times are microseconds (`_us`). Fields may be added; `version` changes when one is taken away or changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meshtrail.model.breaks import Break
from meshtrail.model.request import Request
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace

VERSION = 1


def report(requests: Iterable[Request]) -> dict[str, Any]:
    """`{"version": 1, "requests": [...]}`, ready for json.dumps."""
    return {"version": VERSION, "requests": [_request(request) for request in requests]}


def _request(request: Request) -> dict[str, Any]:
    return {
        "complete": request.complete,
        "summary": request.summary,
        "start_us": request.start_us,
        "duration_us": request.duration_us,
        "services": list(request.services),
        "breaks": [_break(broken) for broken in request.breaks],
        "traces": [_trace(trace) for trace in request.traces],
    }


def _break(broken: Break) -> dict[str, Any]:
    return {
        "service": broken.service,
        "certain": broken.certain,
        "same_request_id": broken.same_request_id,
        "started": _place(broken.started),
        "received": [_place(span) for span in broken.received],
        "text": broken.text,
    }


def _place(span: Span) -> dict[str, str]:
    return {"trace_id": span.trace_id, "span_id": span.span_id}


def _trace(trace: Trace) -> dict[str, Any]:
    return {
        "trace_id": trace.trace_id,
        "complete": trace.complete,
        "start_us": trace.start_us,
        "duration_us": trace.duration_us,
        "services": list(trace.services),
        "roots": [span.span_id for span in trace.roots],
        "orphans": [span.span_id for span in trace.orphans],
        "spans": [{"depth": node.depth, **_span(node.span)} for node in trace.walk()],
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "made_by": span.maker,
        "start_us": span.start_us,
        "duration_us": span.duration_us,
        "error": span.error,
        "http_status": span.http_status,
        "response_flags": list(span.response_flags),
        "tags": dict(span.tags),
        "process_tags": dict(span.process_tags),
        "logs": [{"time_us": log.time_us, "fields": dict(log.fields)} for log in span.logs],
        "warnings": list(span.warnings),
    }
