"""OTLP/JSON to protobuf.

Not protobuf's own JSON: identifiers are hex, and unknown fields are to be ignored (OTLP specification, "JSON Protobuf
Encoding"). Enumerations come as numbers or names, 64-bit integers as strings or numbers, field names in lowerCamelCase;
snake_case is taken as well, as the Collector does.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from meshtrail.store.limits import Limits
from meshtrail.store.refused import MALFORMED, RefusedError

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

Json = Any
_DIGITS = re.compile(r"-?[0-9]{1,20}\Z")


def parse_json(data: bytes) -> Json:
    """Raises RefusedError when the body is not JSON in UTF-8, or nested deeper than any request is."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise RefusedError(MALFORMED, "the body is not valid JSON in UTF-8") from None


def parse_request(data: bytes, limits: Limits) -> ExportTraceServiceRequest:
    """Raises RefusedError, naming the field, when the JSON is not an ExportTraceServiceRequest."""
    request = ExportTraceServiceRequest()
    reader = _Reader(limits.max_nesting)
    top = reader.object(parse_json(data), "the body")
    reader.messages(top, "resourceSpans", "the body", request.resource_spans, reader.resource_spans)
    return request


def text(value: Json, where: str) -> str:
    """A string; lone surrogates, which JSON can write and UTF-8 cannot, become U+FFFD."""
    if not isinstance(value, str):
        raise wrong_type(where, "a string", value)
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def integer(value: Json, where: str, low: int, high: int) -> int:
    """A whole number within low..high, also as a string or as 1.0, as protobuf's JSON allows."""
    if (isinstance(value, str) and _DIGITS.match(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise wrong_type(where, f"a whole number from {low} to {high}", value)
    return value


def wrong_type(where: str, wanted: str, value: Json) -> RefusedError:
    """The error for a field of the wrong type; `where` is its path."""
    shown = type(value).__name__ if isinstance(value, dict | list) else json.dumps(value)[:60]
    return RefusedError(MALFORMED, f"{where}: expected {wanted}, got {shown}")


def _camel_to_snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)


class _Reader:
    """One request; `where` is a path for the error message."""

    def __init__(self, max_nesting: int) -> None:
        self.max_nesting = max_nesting

    def object(self, value: Json, where: str) -> dict[str, Json]:
        if not isinstance(value, dict):
            raise wrong_type(where, "an object", value)
        return value

    def get(self, source: dict[str, Json], name: str) -> Json:
        """The field; null counts as absent."""
        found = source.get(name)
        return source.get(_camel_to_snake(name)) if found is None else found

    def messages(
        self,
        source: dict[str, Json],
        name: str,
        where: str,
        into: Any,
        read: Callable[[dict[str, Json], str, Any], None],
    ) -> None:
        items = self.get(source, name)
        if items is None:
            return
        if not isinstance(items, list):
            raise wrong_type(f"{where}.{name}", "a list", items)
        for at, item in enumerate(items):
            path = f"{where}.{name}[{at}]"
            read(self.object(item, path), path, into.add())

    def set_text(self, source: dict[str, Json], name: str, where: str, into: Message) -> None:
        value = self.get(source, name)
        if value is not None:
            setattr(into, _camel_to_snake(name), text(value, f"{where}.{name}"))

    def set_id(self, source: dict[str, Json], name: str, where: str, into: Message) -> None:
        value = self.get(source, name)
        if value is None:
            return
        try:
            setattr(into, _camel_to_snake(name), bytes.fromhex(text(value, f"{where}.{name}")))
        except ValueError:
            raise wrong_type(f"{where}.{name}", "hexadecimal digits", value) from None

    def set_number(self, source: dict[str, Json], name: str, where: str, into: Message, bits: int) -> None:
        value = self.get(source, name)
        if value is not None:
            setattr(into, _camel_to_snake(name), integer(value, f"{where}.{name}", 0, 2**bits - 1))

    def enum(self, value: Json, where: str, enum: Any) -> int:
        if isinstance(value, str) and value in enum.keys():  # noqa: SIM118 - not a mapping
            return int(enum.Value(value))
        return integer(value, where, -(2**31), 2**31 - 1)

    def resource_spans(self, source: dict[str, Json], where: str, into: ResourceSpans) -> None:
        resource = self.get(source, "resource")
        if resource is not None:
            self.resource(self.object(resource, f"{where}.resource"), f"{where}.resource", into.resource)
        self.messages(source, "scopeSpans", where, into.scope_spans, self.scope_spans)
        self.set_text(source, "schemaUrl", where, into)

    def resource(self, source: dict[str, Json], where: str, into: Resource) -> None:
        self.attributes(source, where, into.attributes)
        self.set_number(source, "droppedAttributesCount", where, into, 32)

    def scope_spans(self, source: dict[str, Json], where: str, into: ScopeSpans) -> None:
        scope = self.get(source, "scope")
        if scope is not None:
            self.scope(self.object(scope, f"{where}.scope"), f"{where}.scope", into.scope)
        self.messages(source, "spans", where, into.spans, self.span)
        self.set_text(source, "schemaUrl", where, into)

    def scope(self, source: dict[str, Json], where: str, into: InstrumentationScope) -> None:
        self.set_text(source, "name", where, into)
        self.set_text(source, "version", where, into)
        self.attributes(source, where, into.attributes)
        self.set_number(source, "droppedAttributesCount", where, into, 32)

    def span(self, source: dict[str, Json], where: str, into: Span) -> None:
        for name in ("traceId", "spanId", "parentSpanId"):
            self.set_id(source, name, where, into)
        for name in ("traceState", "name"):
            self.set_text(source, name, where, into)
        for name in ("startTimeUnixNano", "endTimeUnixNano"):
            self.set_number(source, name, where, into, 64)
        for name in ("flags", "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"):
            self.set_number(source, name, where, into, 32)
        kind = self.get(source, "kind")
        if kind is not None:
            into.kind = self.enum(kind, f"{where}.kind", Span.SpanKind)  # type: ignore[assignment]
        self.attributes(source, where, into.attributes)
        self.messages(source, "events", where, into.events, self.event)
        self.messages(source, "links", where, into.links, self.link)
        status = self.get(source, "status")
        if status is not None:
            status = self.object(status, f"{where}.status")
            self.set_text(status, "message", f"{where}.status", into.status)
            code = self.get(status, "code")
            if code is not None:
                into.status.code = self.enum(code, f"{where}.status.code", Status.StatusCode)  # type: ignore[assignment]

    def event(self, source: dict[str, Json], where: str, into: Span.Event) -> None:
        self.set_number(source, "timeUnixNano", where, into, 64)
        self.set_text(source, "name", where, into)
        self.attributes(source, where, into.attributes)
        self.set_number(source, "droppedAttributesCount", where, into, 32)

    def link(self, source: dict[str, Json], where: str, into: Span.Link) -> None:
        self.set_id(source, "traceId", where, into)
        self.set_id(source, "spanId", where, into)
        self.set_text(source, "traceState", where, into)
        self.attributes(source, where, into.attributes)
        self.set_number(source, "droppedAttributesCount", where, into, 32)
        self.set_number(source, "flags", where, into, 32)

    def attributes(self, source: dict[str, Json], where: str, into: Any) -> None:
        self.messages(source, "attributes", where, into, self.key_value)

    def key_value(self, source: dict[str, Json], where: str, into: KeyValue) -> None:
        self.set_text(source, "key", where, into)
        value = self.get(source, "value")
        if value is not None:
            self.any_value(self.object(value, f"{where}.value"), f"{where}.value", into.value, 1)

    def any_value(self, source: dict[str, Json], where: str, into: AnyValue, depth: int) -> None:
        if depth > self.max_nesting:
            raise RefusedError(MALFORMED, f"an attribute is nested deeper than {self.max_nesting} levels")
        if (value := self.get(source, "stringValue")) is not None:
            into.string_value = text(value, f"{where}.stringValue")
        elif (value := self.get(source, "boolValue")) is not None:
            if not isinstance(value, bool):
                raise wrong_type(f"{where}.boolValue", "true or false", value)
            into.bool_value = value
        elif (value := self.get(source, "intValue")) is not None:
            into.int_value = integer(value, f"{where}.intValue", -(2**63), 2**63 - 1)
        elif (value := self.get(source, "doubleValue")) is not None:
            into.double_value = _double(value, f"{where}.doubleValue")
        elif (value := self.get(source, "bytesValue")) is not None:
            into.bytes_value = _base64(value, f"{where}.bytesValue")
        elif (value := self.get(source, "arrayValue")) is not None:
            into.array_value.SetInParent()
            items = self.get(self.object(value, f"{where}.arrayValue"), "values")
            for item in self._list(items, f"{where}.arrayValue.values"):
                self.any_value(self.object(item, where), where, into.array_value.values.add(), depth + 1)
        elif (value := self.get(source, "kvlistValue")) is not None:
            into.kvlist_value.SetInParent()
            items = self.get(self.object(value, f"{where}.kvlistValue"), "values")
            for item in self._list(items, f"{where}.kvlistValue.values"):
                pair = into.kvlist_value.values.add()
                self.set_text(self.object(item, where), "key", where, pair)
                inner = self.get(item, "value")
                if inner is not None:
                    self.any_value(self.object(inner, where), where, pair.value, depth + 1)

    def _list(self, items: Json, where: str) -> list[Json]:
        if items is None:
            return []
        if not isinstance(items, list):
            raise wrong_type(where, "a list", items)
        return items


def _double(value: Json, where: str) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise wrong_type(where, "a number", value) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(where, "a number", value)
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _base64(value: Json, where: str) -> bytes:
    plain = text(value, where).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise wrong_type(where, "base64", value) from None
