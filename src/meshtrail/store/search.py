"""Finding traces: the search, and who calls whom.

The conditions are those of Jaeger's memory storage (jaeger/internal/storage/v2/memory, v2.13): a trace is found when
one of its spans meets all of them. Traces come newest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from meshtrail.store.attributes import as_string
from meshtrail.store.jaeger_model import KIND_NAMES, sane_times
from meshtrail.store.store import StoredSpan, TraceStore

if TYPE_CHECKING:
    from meshtrail.store.index import Trace


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Times and durations are ns; 0 or empty: any. `tags` compares values as text; "error" looks at the status."""

    service: str = ""
    operation: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    start_min_ns: int = 0
    start_max_ns: int = 0
    duration_min_ns: int = 0
    duration_max_ns: int = 0
    limit: int = 100


def find_traces(store: TraceStore, query: TraceQuery) -> Iterator[bytes]:
    """The ids of matching traces, newest first, at most `query.limit`."""
    # Which of the few distinct keys match is found once; most traces are then passed by without a look at their spans.
    wanted = {
        id(key)
        for key in store.index.keys.values()
        if query.service in ("", key.service) and query.operation in ("", key.operation)
    }
    if not wanted:
        return
    found = 0
    for trace in reversed(store.index.traces.values()):
        if found >= query.limit:
            return
        if _within(trace, query) and any(id(key) in wanted for key in trace.keys) and _matches(store, trace, query):
            found += 1
            yield trace.id


def _within(trace: Trace, query: TraceQuery) -> bool:
    """Whether the trace as a whole lies where one of its spans may match."""
    if query.start_min_ns and trace.end_ns < query.start_min_ns and trace.start_ns < query.start_min_ns:
        return False
    return not query.start_max_ns or trace.start_ns <= query.start_max_ns


def _matches(store: TraceStore, trace: Trace, query: TraceQuery) -> bool:
    contexts: dict[int, list[Any]] = {}
    for stored, key in zip(store.spans(trace.id), trace.keys, strict=True):
        if query.service and key.service != query.service:
            continue
        if query.operation and key.operation != query.operation:
            continue
        envelope = stored.envelope
        if query.tags and id(envelope) not in contexts:
            scope = InstrumentationScope.FromString(envelope.scope)
            contexts[id(envelope)] = [scope.attributes, Resource.FromString(envelope.resource).attributes]
        if _span_matches(stored.decode(), contexts.get(id(envelope), []), query):
            return True
    return False


def _span_matches(span: Span, context: list[Any], query: TraceQuery) -> bool:
    start, end, _ = sane_times(span)
    if query.start_min_ns and start < query.start_min_ns:
        return False
    if query.start_max_ns and start > query.start_max_ns:
        return False
    if query.duration_min_ns and end - start < query.duration_min_ns:
        return False
    if query.duration_max_ns and end - start > query.duration_max_ns:
        return False
    for key, wanted in query.tags.items():
        if key == "error" and wanted in ("true", "false"):
            # Jaeger 2.13 means this, and finds spans with status OK for error=true: it reads the text "true" as false.
            if (span.status.code == Status.STATUS_CODE_ERROR) != (wanted == "true"):
                return False
        elif not any(
            attribute.key == key and as_string(attribute.value) == wanted
            for attributes in (span.attributes, *context, *(event.attributes for event in span.events))
            for attribute in attributes
        ):
            return False
    return True


def operations(store: TraceStore, service: str, kind: str = "") -> list[tuple[str, str]]:
    """Sorted (operation, kind) of a service; kind in lower case, empty when the span has none."""
    pairs = {
        (key.operation, KIND_NAMES[key.kind] if key.kind < len(KIND_NAMES) else "")
        for key in store.index.keys.values()
        if key.service == service
    }
    return sorted(pair for pair in pairs if not kind or pair[1] == kind)


def calls(spans: list[StoredSpan]) -> Counter[tuple[str, str]]:
    """How often a span of one service (second) has its parent in another, or the same, service (first)."""
    decoded = [(stored.envelope.service, stored.decode()) for stored in spans]
    owner: dict[bytes, str] = {}
    for service, span in decoded:
        owner.setdefault(span.span_id, service)
    return Counter((owner[span.parent_span_id], service) for service, span in decoded if span.parent_span_id in owner)
