"""Jaeger's classic span model, and how an OTLP span becomes one.

Source of the rules: opentelemetry-collector-contrib pkg/translator/jaeger/traces_to_jaegerproto.go (v0.140) and
jaeger/internal/jptrace/sanitizer, as inside Jaeger 2.13; recorded answers of that version are in tests/store/recorded.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from meshtrail.store.attributes import as_string
from meshtrail.store.go_format import json_number, time_text
from meshtrail.store.store import StoredSpan

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

CHILD_OF = "CHILD_OF"
FOLLOWS_FROM = "FOLLOWS_FROM"
WARNINGS_ATTRIBUTE = "@jaeger@warnings"
KIND_NAMES = ("", "internal", "server", "client", "producer", "consumer")
_MAX_SAFE_INTEGER = 2**53 - 1
# The order of Jaeger's value types, by which equal keys are sorted.
_TYPE_ORDER = {"string": 0, "bool": 1, "int64": 2, "float64": 3, "binary": 4}


class Tag(NamedTuple):
    """`type` is one of string, bool, int64, float64, binary; `value` the matching Python value (binary: bytes)."""

    key: str
    type: str
    value: Any

    def sort_key(self) -> tuple[str, int, Any]:
        value = self.value
        if self.type == "float64" and math.isnan(value):
            value = -math.inf
        return self.key, _TYPE_ORDER[self.type], value

    def to_json(self) -> dict[str, Any]:
        value = self.value
        if self.type == "int64" and abs(value) > _MAX_SAFE_INTEGER:
            value = str(value)
        elif self.type == "binary":
            value = base64.b64encode(value).decode() if value else None
        elif self.type == "float64":
            # Jaeger fails the whole query on NaN, which JSON cannot write.
            value = json_number(value) if math.isfinite(value) else str(value)
        return {"key": self.key, "type": self.type, "value": value}


@dataclass(slots=True)
class Reference:
    type: str
    trace_id: str
    span_id: int


@dataclass(slots=True)
class Log:
    """`time_ns` since the epoch."""

    time_ns: int
    fields: list[Tag]


@dataclass(slots=True)
class Process:
    service: str
    tags: list[Tag]


@dataclass(slots=True)
class JaegerSpan:
    """Mutable, because Jaeger's adjusters rewrite spans; times are ns."""

    trace_id: str
    span_id: int
    operation: str
    references: list[Reference]
    start_ns: int
    duration_ns: int
    tags: list[Tag]
    logs: list[Log]
    process: Process
    warnings: list[str] = field(default_factory=list)

    def kind(self) -> str:
        return next((str(tag.value) for tag in self.tags if tag.key == "span.kind"), "")

    def parent_id(self) -> int:
        """The first CHILD_OF in the same trace, else the first FOLLOWS_FROM, else 0."""
        follows = 0
        for reference in self.references:
            if reference.trace_id == self.trace_id:
                if reference.type == CHILD_OF:
                    return reference.span_id
                follows = follows or reference.span_id
        return follows

    def replace_parent(self, new: int) -> None:
        old = self.parent_id()
        for reference in self.references:
            if reference.span_id == old and reference.trace_id == self.trace_id:
                reference.span_id = new
                return
        self.references.insert(0, Reference(CHILD_OF, self.trace_id, new))


def trace_id_text(trace_id: bytes) -> str:
    """32 hex digits, or 16 when the upper half is zero: as Jaeger's classic API writes it."""
    text = trace_id.hex().rjust(32, "0")
    return text[16:] if text.startswith("0" * 16) else text


def from_stored(spans: Iterable[StoredSpan]) -> list[JaegerSpan]:
    """The spans of one trace in Jaeger's model, before any adjuster."""
    shared: dict[int, tuple[Process, list[Tag]]] = {}
    result = []
    for stored in spans:
        envelope = stored.envelope
        found = shared.get(id(envelope))
        if found is None:
            resource = Resource.FromString(envelope.resource)
            tags = [_tag(a) for a in resource.attributes if a.key != "service.name"]
            scope = InstrumentationScope.FromString(envelope.scope)
            found = shared[id(envelope)] = (Process(envelope.service, tags), _scope_tags(scope))
        process, scope_tags = found
        result.append(_span(stored.decode(), Process(process.service, list(process.tags)), scope_tags))
    return result


def _span(span: Span, process: Process, scope_tags: list[Tag]) -> JaegerSpan:
    start, end, warning = sane_times(span)
    trace_id = trace_id_text(span.trace_id)
    return JaegerSpan(
        trace_id=trace_id,
        span_id=int.from_bytes(span.span_id),
        operation=span.name,
        references=_references(span, trace_id),
        start_ns=start,
        duration_ns=end - start,
        tags=_span_tags(span, scope_tags),
        logs=[_log(event) for event in span.events],
        process=process,
        warnings=[*sent_warnings(span), warning] if warning else sent_warnings(span),
    )


def sane_times(span: Span) -> tuple[int, int, str]:
    """Start and end in ns, the end moved to 1 ns after the start when it is not later; and Jaeger's warning then."""
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if start < end:
        return start, end, ""
    moved = start + 1
    return (
        start,
        moved,
        (
            "Negative duration detected, sanitizing end timestamp. "
            f"Original end timestamp: {time_text(end)}, adjusted to: {time_text(moved)}"
        ),
    )


def sent_warnings(span: Span) -> list[str]:
    """Warnings that travelled with the span, in the attribute that Jaeger uses for them."""
    for attribute in span.attributes:
        if attribute.key == WARNINGS_ATTRIBUTE:
            if attribute.value.WhichOneof("value") == "array_value":
                return [item.string_value for item in attribute.value.array_value.values]
            return [as_string(attribute.value)]
    return []


def _scope_tags(scope: InstrumentationScope) -> list[Tag]:
    pairs = (("otel.scope.name", scope.name), ("otel.scope.version", scope.version))
    return [Tag(key, "string", value) for key, value in pairs if value]


def _span_tags(span: Span, scope_tags: list[Tag]) -> list[Tag]:
    tags = [*scope_tags, *(_tag(a) for a in span.attributes if a.key != WARNINGS_ATTRIBUTE)]
    if 0 < span.kind < len(KIND_NAMES):
        tags.append(Tag("span.kind", "string", KIND_NAMES[span.kind]))
    if span.status.code == Status.STATUS_CODE_ERROR:
        tags.append(Tag("otel.status_code", "string", "ERROR"))
        tags.append(Tag("error", "bool", True))
    elif span.status.code == Status.STATUS_CODE_OK:
        tags.append(Tag("otel.status_code", "string", "OK"))
    if span.status.message:
        tags.append(Tag("otel.status_description", "string", span.status.message))
    if span.trace_state:
        tags.append(Tag("w3c.tracestate", "string", span.trace_state))
    return tags


def _references(span: Span, trace_id: str) -> list[Reference]:
    parent = int.from_bytes(span.parent_span_id)
    references = [Reference(CHILD_OF, trace_id, parent)] if parent else []
    for link in span.links:
        linked_trace, linked_span = trace_id_text(link.trace_id), int.from_bytes(link.span_id[:8])
        kind = _reference_type(link)
        if parent and linked_trace == trace_id and linked_span == parent:
            references[0].type = kind
        else:
            references.append(Reference(kind, linked_trace, linked_span))
    return references


def _reference_type(link: Span.Link) -> str:
    for attribute in link.attributes:
        if attribute.key == "opentracing.ref_type":
            return CHILD_OF if attribute.value.string_value == "child_of" else FOLLOWS_FROM
    return FOLLOWS_FROM


def _log(event: Span.Event) -> Log:
    fields = [_tag(a) for a in event.attributes]
    if event.name and all(tag.key != "event" for tag in fields):
        fields.insert(0, Tag("event", "string", event.name))
    return Log(event.time_unix_nano, fields)


def _tag(attribute: KeyValue) -> Tag:
    return _tag_of(attribute.key, attribute.value)


def _tag_of(key: str, value: AnyValue) -> Tag:
    kind = value.WhichOneof("value")
    if kind == "int_value":
        return Tag(key, "int64", value.int_value)
    if kind == "bool_value":
        return Tag(key, "bool", value.bool_value)
    if kind == "double_value":
        return Tag(key, "float64", value.double_value)
    if kind == "bytes_value":
        return Tag(key, "binary", value.bytes_value)
    return Tag(key, "string", as_string(value))
