"""Small requests for tests."""

from __future__ import annotations

from itertools import count

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

T0_NS = 1_795_224_010_000_000_000
_numbers = count(1)


def new_trace_id() -> bytes:
    return (0xABCD << 64 | next(_numbers)).to_bytes(16)


def request(
    trace_id: bytes | None = None,
    spans: int = 1,
    service: str = "frontend.default",
    name: str = "op",
    start_ns: int = T0_NS,
) -> ExportTraceServiceRequest:
    """`spans` spans of one trace, each the parent of the next, 1 ms long."""
    trace_id = trace_id or new_trace_id()
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_spans.add()
    scope.scope.name = "test"
    for at in range(spans):
        span = scope.spans.add(trace_id=trace_id, span_id=(at + 1).to_bytes(8), name=name, kind=2)
        if at:
            span.parent_span_id = at.to_bytes(8)
        span.start_time_unix_nano = start_ns + at
        span.end_time_unix_nano = start_ns + 1_000_000 - at
    return message
