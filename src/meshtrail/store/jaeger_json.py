"""Jaeger's classic JSON of a trace."""

from __future__ import annotations

from typing import Any

from meshtrail.store.jaeger_adjust import adjust
from meshtrail.store.jaeger_model import JaegerSpan, Process, Tag, from_stored
from meshtrail.store.store import StoredSpan


def trace_json(stored: list[StoredSpan], *, raw: bool = False) -> dict[str, Any]:
    """One trace as Jaeger UI reads it; times are us. `raw` leaves the adjusters out."""
    spans = from_stored(stored)
    if not raw:
        spans = adjust(spans)
    processes: dict[tuple[str, tuple[Tag, ...]], str] = {}
    by_name: dict[str, Process] = {}
    result = []
    for span in spans:
        key = (span.process.service, tuple(span.process.tags))
        name = processes.get(key)
        if name is None:
            name = processes[key] = f"p{len(processes) + 1}"
            by_name[name] = span.process
        result.append(_span_json(span, name))
    return {
        "traceID": spans[0].trace_id if spans else "",
        "spans": result,
        "processes": {
            name: {"serviceName": process.service, "tags": [tag.to_json() for tag in process.tags]}
            for name, process in by_name.items()
        },
        "warnings": None,
    }


def _span_json(span: JaegerSpan, process: str) -> dict[str, Any]:
    return {
        "traceID": span.trace_id,
        "spanID": f"{span.span_id:016x}",
        "operationName": span.operation,
        "references": [
            {"refType": ref.type, "traceID": ref.trace_id, "spanID": f"{ref.span_id:016x}"} for ref in span.references
        ],
        "startTime": span.start_ns // 1000,
        "duration": span.duration_ns // 1000,
        "tags": [tag.to_json() for tag in span.tags],
        "logs": [
            {"timestamp": log.time_ns // 1000, "fields": [tag.to_json() for tag in log.fields]} for log in span.logs
        ],
        "processID": process,
        "warnings": span.warnings or None,
    }
