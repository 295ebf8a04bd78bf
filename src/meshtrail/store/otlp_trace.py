"""A trace in OTLP/JSON, as Jaeger's v3 API gives it, with the adjusters of that API.

Source: jaeger/cmd/query/app/querysvc/v2/adjuster (v2.13) and the JSON of the Collector's pdata (v1.46).
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from meshtrail.store.go_format import json_number
from meshtrail.store.jaeger_adjust import SDK_KEYS, ip_text
from meshtrail.store.jaeger_model import WARNINGS_ATTRIBUTE, sane_times, sent_warnings
from meshtrail.store.skew import ORPHAN_V3, SkewNode, warn_of_skew
from meshtrail.store.store import StoredSpan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    from meshtrail.store.envelope import Envelope

Json = dict[str, Any]
Attributes = dict[str, Json]


@dataclass(slots=True)
class _Entry:
    """One span on its way out; `attributes` and `resource` map a key to its value in JSON."""

    envelope: Envelope
    span: Span
    start_ns: int
    end_ns: int
    attributes: Attributes
    resource: Attributes
    warnings: list[str] = field(default_factory=list)


def resource_spans(stored: list[StoredSpan], *, raw: bool = False) -> list[Json]:
    """The `resourceSpans` of one trace."""
    entries = _entries(stored)
    if not raw:
        entries = _adjust(entries)
    groups: dict[int, tuple[Json, list[Json]]] = {}
    for entry in entries:
        key = id(entry.resource)
        if key not in groups:
            scopes: list[Json] = []
            groups[key] = (_resource_json(entry, scopes), scopes)
        _scope_for(entry, groups[key][1])["spans"].append(_span_json(entry))
    return [group for group, _ in groups.values()]


def _entries(stored: list[StoredSpan]) -> list[_Entry]:
    resources: dict[tuple[bytes, str], Attributes] = {}
    entries = []
    for item in stored:
        envelope = item.envelope
        resource = resources.get((envelope.resource, envelope.resource_schema))
        if resource is None:
            resource = _attributes(Resource.FromString(envelope.resource).attributes)
            resource["service.name"] = {"stringValue": envelope.service}
            resources[envelope.resource, envelope.resource_schema] = resource
        span = item.decode()
        start, end, warning = sane_times(span)
        attributes = _attributes(a for a in span.attributes if a.key != WARNINGS_ATTRIBUTE)
        warnings = sent_warnings(span) + ([warning] if warning else [])
        entries.append(_Entry(envelope, span, start, end, attributes, resource, warnings))
    return entries


def _adjust(entries: list[_Entry]) -> list[_Entry]:
    _split_shared_ids(entries)
    for entry in entries:
        entry.attributes = dict(sorted(entry.attributes.items()))
        entry.span.events.sort(key=lambda event: event.name)
    unique = {(id(entry.resource), entry.span.SerializeToString(deterministic=True)): entry for entry in entries}
    entries = list(unique.values())
    warn_of_skew(
        [
            SkewNode(
                int.from_bytes(entry.span.span_id),
                int.from_bytes(entry.span.parent_span_id),
                entry.start_ns,
                entry.end_ns - entry.start_ns,
                _host(entry.resource),
                entry.warnings,
            )
            for entry in entries
        ],
        ORPHAN_V3,
    )
    for entry in entries:
        _write_ip_addresses(entry.attributes)
        _write_ip_addresses(entry.resource)
        for key in SDK_KEYS & entry.attributes.keys():
            value = entry.attributes[key]
            if entry.resource.setdefault(key, value) == value:
                del entry.attributes[key]
            else:
                entry.warnings.append(f"conflicting values between Span and Resource for attribute {key}")
        kept = [link for link in entry.span.links if any(link.trace_id)]
        entry.warnings.extend(["Invalid span link removed"] * (len(entry.span.links) - len(kept)))
        if len(kept) < len(entry.span.links):
            del entry.span.links[:]
            entry.span.links.extend(kept)
    return entries


def _split_shared_ids(entries: list[_Entry]) -> None:
    """As `jaeger_adjust.split_shared_ids`, on OTLP."""
    used = {entry.span.span_id for entry in entries}
    if len(used) == len(entries):
        return
    clients = {entry.span.span_id for entry in entries if entry.span.kind == Span.SPAN_KIND_CLIENT}
    new_ids: dict[bytes, bytes] = {}
    fresh = 0
    for entry in entries:
        shared = entry.span.span_id
        if entry.span.kind == Span.SPAN_KIND_SERVER and shared in clients:
            fresh += 1
            while fresh.to_bytes(8) in used:
                fresh += 1
            new_ids[shared] = entry.span.span_id = fresh.to_bytes(8)
            entry.span.parent_span_id = shared
    for entry in entries:
        new_parent = new_ids.get(entry.span.parent_span_id)
        if new_parent is not None and entry.span.span_id != new_parent:
            entry.span.parent_span_id = new_parent


def _host(resource: Attributes) -> str:
    """Tells hosts apart: the first of host.id, host.ip, host.name that the resource has."""
    for key in ("host.id", "host.ip", "host.name"):
        if key in resource:
            value = resource[key]
            if key == "host.ip" and "arrayValue" in value:
                value = next(iter(value["arrayValue"].get("values", [])), {})
            return str(value.get("stringValue", ""))
    return ""


def _write_ip_addresses(attributes: Attributes) -> None:
    for key in ("ip", "peer.ipv4"):
        value = attributes.get(key, {})
        number = value.get("intValue", value.get("doubleValue"))
        if number is not None and math.isfinite(float(number)):
            attributes[key] = {"stringValue": ip_text(float(number) if "doubleValue" in value else int(number))}


def _resource_json(entry: _Entry, scopes: list[Json]) -> Json:
    resource = Resource.FromString(entry.envelope.resource)
    inner: Json = {"attributes": _pairs(dict(sorted(entry.resource.items())))}
    _put(inner, "droppedAttributesCount", resource.dropped_attributes_count)
    group: Json = {"resource": inner, "scopeSpans": scopes}
    _put(group, "schemaUrl", entry.envelope.resource_schema)
    return group


def _scope_for(entry: _Entry, scopes: list[Json]) -> Json:
    scope = InstrumentationScope.FromString(entry.envelope.scope)
    inner: Json = {}
    _put(inner, "name", scope.name)
    _put(inner, "version", scope.version)
    _put(inner, "attributes", _pairs(dict(sorted(_attributes(scope.attributes).items()))))
    _put(inner, "droppedAttributesCount", scope.dropped_attributes_count)
    schema = entry.envelope.scope_schema
    for known in scopes:
        if known["scope"] == inner and known.get("schemaUrl", "") == schema:
            return known
    scopes.append({"scope": inner, "spans": []})
    _put(scopes[-1], "schemaUrl", schema)
    return scopes[-1]


def _span_json(entry: _Entry) -> Json:
    span = entry.span
    attributes = dict(entry.attributes)
    if entry.warnings:
        attributes[WARNINGS_ATTRIBUTE] = {"arrayValue": {"values": [{"stringValue": text} for text in entry.warnings]}}
    result: Json = {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex()}
    _put(result, "traceState", span.trace_state)
    if any(span.parent_span_id):
        result["parentSpanId"] = span.parent_span_id.hex()
    _put(result, "flags", span.flags)
    _put(result, "name", span.name)
    _put(result, "kind", int(span.kind))
    _put(result, "startTimeUnixNano", str(entry.start_ns) if entry.start_ns else "")
    _put(result, "endTimeUnixNano", str(entry.end_ns) if entry.end_ns else "")
    _put(result, "attributes", _pairs(attributes))
    _put(result, "droppedAttributesCount", span.dropped_attributes_count)
    _put(result, "events", [_event_json(event) for event in span.events])
    _put(result, "droppedEventsCount", span.dropped_events_count)
    _put(result, "links", [_link_json(link) for link in span.links])
    _put(result, "droppedLinksCount", span.dropped_links_count)
    result["status"] = {}
    _put(result["status"], "message", span.status.message)
    _put(result["status"], "code", int(span.status.code))
    return result


def _event_json(event: Span.Event) -> Json:
    result: Json = {}
    _put(result, "timeUnixNano", str(event.time_unix_nano) if event.time_unix_nano else "")
    _put(result, "name", event.name)
    _put(result, "attributes", _pairs(dict(sorted(_attributes(event.attributes).items()))))
    _put(result, "droppedAttributesCount", event.dropped_attributes_count)
    return result


def _link_json(link: Span.Link) -> Json:
    result: Json = {}
    _put(result, "traceId", link.trace_id.hex() if any(link.trace_id) else "")
    _put(result, "spanId", link.span_id.hex() if any(link.span_id) else "")
    _put(result, "traceState", link.trace_state)
    _put(result, "attributes", _pairs(dict(sorted(_attributes(link.attributes).items()))))
    _put(result, "droppedAttributesCount", link.dropped_attributes_count)
    _put(result, "flags", link.flags)
    return result


def _put(into: Json, key: str, value: Any) -> None:
    """Set a field unless it is its default, as protobuf's JSON does."""
    if value:
        into[key] = value


def _pairs(attributes: Attributes) -> list[Json]:
    return [{"key": key, "value": value} if key else {"value": value} for key, value in attributes.items()]


def _attributes(attributes: Iterable[KeyValue]) -> Attributes:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: AnyValue) -> Json:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return {"stringValue": value.string_value}
    if kind == "bool_value":
        return {"boolValue": value.bool_value}
    if kind == "int_value":
        return {"intValue": str(value.int_value)}
    if kind == "double_value":
        return {"doubleValue": _double(value.double_value)}
    if kind == "bytes_value":
        return {"bytesValue": base64.b64encode(value.bytes_value).decode()}
    if kind == "array_value":
        items = [_value(item) for item in value.array_value.values]
        return {"arrayValue": {"values": items} if items else {}}
    if kind == "kvlist_value":
        pairs = [{"key": pair.key, "value": _value(pair.value)} for pair in value.kvlist_value.values]
        return {"kvlistValue": {"values": pairs} if pairs else {}}
    return {}


def _double(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    return json_number(value) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
