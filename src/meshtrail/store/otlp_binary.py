"""Traces as they were sent, in OTLP's protobuf: what a program that reads thousands of them asks for.

A tenth of the work of JSON, at either end. Spans are as they lie in the store: no adjuster of Jaeger's has seen them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from meshtrail.store.envelope import MISSING_SERVICE
from meshtrail.store.store import StoredSpan

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

    from meshtrail.store.envelope import Envelope

MEDIA_TYPE = "application/x-protobuf"


def traces_data(traces: Iterable[Iterable[StoredSpan]]) -> bytes:
    """An encoded TracesData; spans of one resource and scope stand together, whatever their traces."""
    answer = TracesData()
    groups: dict[int, ScopeSpans] = {}
    for spans in traces:
        for stored in spans:
            group = groups.get(id(stored.envelope))
            if group is None:
                group = groups[id(stored.envelope)] = _group(answer, stored.envelope)
            group.spans.append(stored.decode())
    return answer.SerializeToString()


def _group(answer: TracesData, envelope: Envelope) -> ScopeSpans:
    resource = Resource.FromString(envelope.resource)
    if envelope.service == MISSING_SERVICE:
        resource.attributes.add(key="service.name").value.string_value = envelope.service
    else:
        for attribute in resource.attributes:
            if attribute.key == "service.name":
                attribute.value.string_value = envelope.service
    group = answer.resource_spans.add(resource=resource, schema_url=envelope.resource_schema)
    scope = group.scope_spans.add(schema_url=envelope.scope_schema)
    scope.scope.ParseFromString(envelope.scope)
    return scope
