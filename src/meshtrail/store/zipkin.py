"""Zipkin v2 JSON to OTLP, as Jaeger's Zipkin receiver translates it.

Source of the rules: opentelemetry-collector-contrib pkg/translator/zipkin/zipkinv2/to_translator.go (v0.140), the
version inside Jaeger 2.13; `tests/store/recorded` holds a real Jaeger's answers to the same input.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from meshtrail.store.otlp_json import integer, parse_json, text, wrong_type
from meshtrail.store.refused import MALFORMED, RefusedError
from meshtrail.store.zipkin_resource import RESOURCE_KEYS, SCOPE_NAME, SCOPE_VERSION, SERVICE_NAME_SOURCE

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

Json = Any
_KINDS = {
    "CLIENT": Span.SPAN_KIND_CLIENT,
    "SERVER": Span.SPAN_KIND_SERVER,
    "PRODUCER": Span.SPAN_KIND_PRODUCER,
    "CONSUMER": Span.SPAN_KIND_CONSUMER,
}
_STATUS_CODES = {
    "STATUS_CODE_OK": Status.STATUS_CODE_OK,
    "STATUS_CODE_ERROR": Status.STATUS_CODE_ERROR,
    "Ok": Status.STATUS_CODE_OK,
    "Error": Status.STATUS_CODE_ERROR,
}
_MAX_U64 = 2**64 - 1
_MAX_LINKS = 128


def parse_spans(data: bytes) -> ExportTraceServiceRequest:
    """OTLP of the body of a `POST /api/v2/spans`, grouped by service. Raises RefusedError naming the field."""
    top = parse_json(data)
    if not isinstance(top, list):
        raise wrong_type("the body", "a list of spans", top)
    spans = [_object(item, f"span {at}") for at, item in enumerate(top) if item is not None]
    tags = [_tags(span, f"span {at}") for at, span in enumerate(spans)]
    services = [_service(span, f"span {at}") for at, span in enumerate(spans)]
    order = sorted(range(len(spans)), key=lambda at: (services[at], tags[at].get(SCOPE_NAME, "")))
    request = ExportTraceServiceRequest()
    result = request.resource_spans
    previous: tuple[str, str] | None = None
    for at in order:
        scope = tags[at].get(SCOPE_NAME, "")
        own = dict(tags[at])
        if previous is None or previous[0] != services[at]:
            _fill_resource(result.add(), services[at], own)
        if previous != (services[at], scope):
            scope_spans = result[-1].scope_spans.add()
            if scope:
                scope_spans.scope.name = own.pop(SCOPE_NAME)
                scope_spans.scope.version = own.pop(SCOPE_VERSION, "")
        previous = (services[at], scope)
        _fill_span(result[-1].scope_spans[-1].spans.add(), spans[at], own, f"span {at}")
    return request


def _fill_resource(into: ResourceSpans, service: str, tags: dict[str, str]) -> None:
    if not service:
        return
    name = tags.pop(SERVICE_NAME_SOURCE, "") or "service.name"
    _put(into.resource.attributes, name, service)
    for key in sorted(RESOURCE_KEYS & tags.keys()):
        _put(into.resource.attributes, key, tags.pop(key))


def _fill_span(into: Span, source: dict[str, Json], tags: dict[str, str], where: str) -> None:
    trace_id = _hex(source.get("traceId"), f"{where}.traceId", 32)
    into.trace_id = trace_id.to_bytes(16)
    span_id = _hex(source.get("id"), f"{where}.id", 16)
    if not trace_id or not span_id:
        raise RefusedError(MALFORMED, f"{where}: traceId and id must not be zero")
    into.span_id = span_id.to_bytes(8)
    if source.get("parentId"):
        parent = _hex(source["parentId"], f"{where}.parentId", 16)
        if parent and parent != span_id:
            into.parent_span_id = parent.to_bytes(8)
    into.trace_state = tags.pop("w3c.tracestate", "")
    into.name = text(source.get("name") or "", f"{where}.name")
    into.kind = _kind(source.get("kind"), tags, where)
    _fill_status(into, tags)
    for at in range(_MAX_LINKS):
        link = tags.pop(f"otlp.link.{at}", None)
        if link is None:
            break
        _add_link(into, link, where)
    for key, value in tags.items():
        if key not in RESOURCE_KEYS and key not in (SERVICE_NAME_SOURCE, SCOPE_NAME, SCOPE_VERSION):
            _put(into.attributes, key, value)
    _add_endpoints(into, source, where)
    _set_times(into, source, where)
    for annotation in _list(source.get("annotations"), f"{where}.annotations"):
        _add_event(into, _object(annotation, f"{where}.annotations"), where)


def _kind(kind: Json, tags: dict[str, str], where: str) -> Span.SpanKind.ValueType:
    if kind is not None:
        kind = text(kind, f"{where}.kind")
    if kind in _KINDS:
        return _KINDS[kind]
    return Span.SPAN_KIND_INTERNAL if tags.pop("span.kind", "") == "internal" else Span.SPAN_KIND_UNSPECIFIED


def _fill_status(into: Span, tags: dict[str, str]) -> None:
    code = tags.pop("otel.status_code", None)
    if code is not None:
        into.status.code = _STATUS_CODES.get(code, Status.STATUS_CODE_UNSET)
        into.status.message = tags.pop("otel.status_description", "")
    if "error" in tags:
        into.status.code = Status.STATUS_CODE_ERROR
        if tags["error"] == "true":
            del tags["error"]


def _set_times(into: Span, source: dict[str, Json], where: str) -> None:
    start = integer(source.get("timestamp") or 0, f"{where}.timestamp", 0, _MAX_U64 // 1000)
    duration = integer(source.get("duration") or 0, f"{where}.duration", 0, _MAX_U64 // 1000)
    into.start_time_unix_nano = start * 1000
    into.end_time_unix_nano = min((start + duration) * 1000, _MAX_U64)
    if not start:
        into.attributes.add(key="otel.zipkin.absentField.startTime").value.bool_value = True


def _add_endpoints(into: Span, source: dict[str, Json], where: str) -> None:
    for name, side in (("localEndpoint", "host"), ("remoteEndpoint", "peer")):
        endpoint = source.get(name)
        if endpoint is None:
            continue
        endpoint = _object(endpoint, f"{where}.{name}")
        service = text(endpoint.get("serviceName") or "", f"{where}.{name}.serviceName")
        if side == "peer" and service:
            _put(into.attributes, "peer.service", service, replace=True)
        for family in ("ipv4", "ipv6"):
            if endpoint.get(family):
                _put(into.attributes, f"net.{side}.ip", _ip(endpoint[family], f"{where}.{name}.{family}"), replace=True)
        port = integer(endpoint.get("port") or 0, f"{where}.{name}.port", 0, 65535)
        if port:
            _put(into.attributes, f"net.{side}.port", port, replace=True)


def _add_event(into: Span, annotation: dict[str, Json], where: str) -> None:
    """An annotation; OpenTelemetry's Zipkin exporter writes an event as "name|{attributes as JSON}|dropped count"."""
    event = into.events.add()
    stamp = integer(annotation.get("timestamp"), f"{where}.annotations.timestamp", 1, _MAX_U64 // 1000)
    event.time_unix_nano = stamp * 1000
    name, *rest = text(annotation.get("value") or "", f"{where}.annotations.value").split("|")
    event.name = name
    if len(rest) >= 2:
        _put_json(event.attributes, "|".join(rest[:-1]), f"{where}.annotations.value")
        event.dropped_attributes_count = _count(rest[-1], f"{where}.annotations.value")


def _add_link(into: Span, value: str, where: str) -> None:
    """A link as OpenTelemetry's Zipkin exporter writes it: "trace|span|state|{attributes as JSON}|dropped count"."""
    parts = value.split("|")
    if len(parts) < 5:
        return
    link = into.links.add()
    link.trace_id = _hex(parts[0].strip('"') or "0", f"{where} link", 32).to_bytes(16)
    link.span_id = _hex(parts[1].strip('"') or "0", f"{where} link", 16).to_bytes(8)
    link.trace_state = parts[2]
    _put_json(link.attributes, "|".join(parts[3:-1]), f"{where} link")
    link.dropped_attributes_count = _count(parts[-1], f"{where} link")


def _put(attributes: Any, key: str, value: str | int | float, *, replace: bool = False) -> None:
    """Add an attribute; with `replace` one of the same name is overwritten."""
    target: KeyValue | None = next((a for a in attributes if a.key == key), None) if replace else None
    if target is None:
        target = attributes.add(key=key)
    if isinstance(value, bool):
        target.value.bool_value = value
    elif isinstance(value, int):
        target.value.int_value = value
    elif isinstance(value, float):
        target.value.double_value = value
    else:
        target.value.string_value = value


def _put_json(attributes: Any, source: str, where: str) -> None:
    """Attributes from a JSON object: numbers without a fraction are integers; lists and objects are left out."""
    try:
        values = json.loads(source)
    except (ValueError, RecursionError):
        values = ""
    for key, value in _object(values, where).items():
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            value = float(value)
        if isinstance(value, str):
            value = text(value, where)
        if isinstance(value, str | int | float):
            _put(attributes, text(key, where), value)


def _tags(span: dict[str, Json], where: str) -> dict[str, str]:
    tags = span.get("tags")
    if tags is None:
        return {}
    pairs: Iterable[tuple[Json, Json]] = _object(tags, f"{where}.tags").items()
    return {text(key, where): text("" if value is None else value, f"{where}.tags.{key}") for key, value in pairs}


def _service(span: dict[str, Json], where: str) -> str:
    endpoint = span.get("localEndpoint")
    if endpoint is None:
        return ""
    name = _object(endpoint, f"{where}.localEndpoint").get("serviceName")
    return text(name or "", f"{where}.localEndpoint.serviceName")


def _object(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise wrong_type(where, "an object", value)
    return value


def _list(value: Json, where: str) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong_type(where, "a list", value)
    return value


def _hex(value: Json, where: str, digits: int) -> int:
    if isinstance(value, str) and 0 < len(value) <= digits and all(c in "0123456789abcdefABCDEF" for c in value):
        return int(value, 16)
    raise wrong_type(where, f"1 to {digits} hexadecimal digits", value)


def _count(value: str, where: str) -> int:
    return integer(value, where, 0, 2**32 - 1)


def _ip(value: Json, where: str) -> str:
    try:
        address = ip_address(text(value, where))
    except ValueError:
        raise wrong_type(where, "an IP address", value) from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)
