"""From traces in OTLP's protobuf to the model: what meshtrail's own store gives to whoever reads many of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from meshtrail.model.span import Log, Scalar, Span
from meshtrail.reading.decode import WORDS, intern_text
from meshtrail.reading.otlp import KINDS, write_status

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

NO_SPAN = bytes(8)

IDLE = frozenset(
    {
        "downstream_cluster",
        "http.protocol",
        "istio.cluster_id",
        "istio.mesh_id",
        "request_size",
        "response_size",
        "upstream_cluster.name",
        "zone",
    }
)
"""Of a span of Envoy, what tells nothing of how spans hang together: left out, where thousands are read."""


def spans_of(data: bytes) -> list[Span]:
    """All spans of an encoded TracesData. Raises ValueError when it is none."""
    try:
        message = TracesData.FromString(data)
    except DecodeError:
        raise ValueError("no whole protobuf message") from None
    spans: list[Span] = []
    for group in message.resource_spans:
        resource = _attributes(group.resource.attributes)
        service = intern_text(str(resource.pop("service.name", "")))
        for part in group.scope_spans:
            pairs = (("otel.scope.name", part.scope.name), ("otel.scope.version", part.scope.version))
            scope = {key: value for key, value in pairs if value}
            spans.extend(_span(span, service, resource, scope) for span in part.spans)
    return spans


def _span(span: OtlpSpan, service: str, resource: dict[str, Scalar], scope: dict[str, str]) -> Span:
    tags: dict[str, Scalar] = {**scope, **_attributes(span.attributes)}
    kind = KINDS[span.kind] if 0 <= span.kind < len(KINDS) else "unspecified"
    if kind != "unspecified":
        tags["span.kind"] = kind
    if span.HasField("status"):
        write_status(span.status.code, span.status.message, tags)
    if span.trace_state:
        tags["w3c.tracestate"] = span.trace_state
    start = span.start_time_unix_nano
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=_parent(span),
        service=service,
        name=intern_text(span.name),
        kind=kind,
        start_us=start // 1000,
        duration_us=max(0, (span.end_time_unix_nano - start) // 1000),
        tags=tags,
        process_tags=resource,
        logs=tuple(_log(event.time_unix_nano, event.name, event.attributes) for event in span.events),
    )


def _parent(span: OtlpSpan) -> str | None:
    """The parent, else a link to a span of the same trace."""
    parent = span.parent_span_id
    if parent and parent != NO_SPAN:
        return parent.hex()
    return next((link.span_id.hex() for link in span.links if link.trace_id == span.trace_id), None)


def _log(time_ns: int, name: str, attributes: Iterable[KeyValue]) -> Log:
    fields = _attributes(attributes)
    if name:
        fields.setdefault("event", name)
    return Log(time_ns // 1000, fields)


def _attributes(attributes: Iterable[KeyValue]) -> dict[str, Scalar]:
    tags: dict[str, Scalar] = {}
    known = WORDS.get
    for attribute in attributes:
        key = attribute.key
        if key in IDLE:
            continue
        value = attribute.value
        text = value.string_value
        # Nearly all are text that was seen before; an empty one may be of another kind.
        tags[known(key) or intern_text(key)] = known(text) or (intern_text(text) if text else _scalar(value))
    return tags


def _scalar(value: AnyValue) -> Scalar:
    match value.WhichOneof("value"):
        case "int_value":
            return value.int_value
        case "bool_value":
            return value.bool_value
        case "double_value":
            return value.double_value
        case "bytes_value":
            return value.bytes_value.hex()
        case "array_value":
            return str([_scalar(one) for one in value.array_value.values])
        case "kvlist_value":
            return str({pair.key: _scalar(pair.value) for pair in value.kvlist_value.values})
    return ""
