"""What spans of one request have in common: resource and instrumentation scope, kept once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from meshtrail.store.limits import Limits
from meshtrail.store.sanitize import cut_attributes

# Jaeger's names for a service that does not say its own (internal/jptrace/sanitizer/emptyservicename.go, v2.13).
MISSING_SERVICE = "missing-service-name"
EMPTY_SERVICE = "empty-service-name"
WRONG_TYPE_SERVICE = "service-name-wrong-type"

_CACHE_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Envelope:
    """`resource` and `scope` are encoded protobuf messages; `service` is the name that Jaeger shows."""

    resource: bytes
    resource_schema: str
    scope: bytes
    scope_schema: str
    service: str


def service_name(resource: Resource) -> str:
    """The service of a resource, as Jaeger names it when `service.name` is missing, empty or not a string."""
    for attribute in resource.attributes:
        if attribute.key == "service.name":
            if attribute.value.WhichOneof("value") != "string_value":
                return WRONG_TYPE_SERVICE
            return attribute.value.string_value or EMPTY_SERVICE
    return MISSING_SERVICE


class EnvelopeCache:
    """Gives equal envelopes as one object; bounded, so that endless new resources cannot fill the memory.

    A trace keeps its envelopes alive by itself: emptying the cache costs sharing, never data.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[tuple[bytes, str, bytes, str], Envelope] = {}

    def get(self, resource: bytes, resource_schema: str, scope: bytes, scope_schema: str) -> Envelope:
        key = (resource, resource_schema, scope, scope_schema)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            found = self._known[key] = self._build(*key)
        return found

    def _build(self, resource: bytes, resource_schema: str, scope: bytes, scope_schema: str) -> Envelope:
        resource_message = Resource.FromString(resource)
        service = service_name(resource_message)
        dropped = cut_attributes(resource_message.attributes, self._limits)
        resource_message.dropped_attributes_count = _add_u32(resource_message.dropped_attributes_count, dropped)
        scope_message = InstrumentationScope.FromString(scope)
        dropped = cut_attributes(scope_message.attributes, self._limits)
        scope_message.dropped_attributes_count = _add_u32(scope_message.dropped_attributes_count, dropped)
        return Envelope(
            resource_message.SerializeToString(),
            resource_schema[:1024],
            scope_message.SerializeToString(),
            scope_schema[:1024],
            service[: self._limits.max_value_bytes],
        )


def _add_u32(count: int, more: int) -> int:
    return min(count + more, 2**32 - 1)
