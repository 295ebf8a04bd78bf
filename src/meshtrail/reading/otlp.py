"""From traces in OTLP/JSON to the model: what Jaeger's v3 API answers and what the Collector's file exporter writes.

Shape: `{"resourceSpans": [{"resource", "scopeSpans": [{"scope", "spans": [...]}]}]}`. What becomes of kind, status,
scope and events is what Jaeger's classic API makes of them, so that a trace reads the same whichever way it came.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from meshtrail.model.span import Kind, Log, Scalar, Span
from meshtrail.model.trace import Trace
from meshtrail.reading.decode import HEX, as_list, as_mapping, intern_text

KINDS: tuple[Kind, ...] = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""By the number that OTLP gives them."""

JAEGER_WARNINGS = "@jaeger@warnings"
NESTING = 16


def spans_of(document: object) -> list[Span]:
    """All spans of one document, in its order. Raises ValueError that says what has the wrong shape.

    Also taken: `batches` for `resourceSpans` (Tempo), `instrumentationLibrarySpans` for `scopeSpans` (OTLP before
    0.16), identifiers in base64 (protobuf's own JSON), and the envelope of Jaeger's v3 API (`{"result": ...}`).
    """
    whole = as_mapping(document, "the document")
    if "result" in whole:
        whole = as_mapping(whole["result"], "`result`")
    spans: list[Span] = []
    for resource_spans in as_list(whole.get("resourceSpans", whole.get("batches")), "`resourceSpans`"):
        group = as_mapping(resource_spans, "an entry of `resourceSpans`")
        resource = _attributes(as_mapping(group.get("resource") or {}, "`resource`").get("attributes"))
        service = intern_text(str(resource.pop("service.name", "")))
        scopes = group.get("scopeSpans", group.get("instrumentationLibrarySpans"))
        for scope_spans in as_list(scopes, "`scopeSpans`"):
            part = as_mapping(scope_spans, "an entry of `scopeSpans`")
            scope = as_mapping(part.get("scope", part.get("instrumentationLibrary")) or {}, "`scope`")
            named = {f"otel.scope.{key}": str(scope[key]) for key in ("name", "version") if scope.get(key)}
            for span in as_list(part.get("spans"), "`spans`"):
                spans.append(_span(as_mapping(span, "a span"), service, resource, named))
    return spans


def traces_of(spans: Iterable[Span]) -> tuple[Trace, ...]:
    """Spans by their trace ids, in order of start."""
    groups: dict[str, list[Span]] = {}
    for span in spans:
        groups.setdefault(span.trace_id, []).append(span)
    traces = (Trace.of(_told_apart(group)) for group in groups.values())
    return tuple(sorted(traces, key=lambda trace: trace.start_us))


def _told_apart(spans: list[Span]) -> list[Span]:
    """Spans with identifiers of their own, as Jaeger shows them.

    What was exported twice stands once. Zipkin lets client and server share one span id: the server gets another one,
    below the client, and the server's children move with it.
    """
    if len({span.span_id for span in spans}) == len(spans):
        return spans
    seen: dict[tuple[str, str, str, int, str], Span] = {}
    for span in spans:
        seen.setdefault((span.span_id, span.kind, span.service, span.start_us, span.name), span)
    clients = {span.span_id for span in seen.values() if span.kind == "client"}
    used = {span.span_id for span in seen.values()}
    fresh: dict[str, str] = {}
    for span in seen.values():
        if span.kind == "server" and span.span_id in clients and span.span_id not in fresh:
            number = len(fresh) + 1
            while f"{number:016x}" in used:
                number += 1
            fresh[span.span_id] = f"{number:016x}"
            used.add(fresh[span.span_id])
    result = []
    for span in seen.values():
        if span.kind == "server" and span.span_id in fresh:
            span = replace(span, span_id=fresh[span.span_id], parent_id=span.span_id)
        elif span.parent_id in fresh and not (span.kind == "client" and span.span_id == span.parent_id):
            span = replace(span, parent_id=fresh[span.parent_id])
        result.append(span)
    return result


def _span(span: Mapping[str, Any], service: str, resource: Mapping[str, Scalar], scope: Mapping[str, str]) -> Span:
    trace_id = _identifier(span.get("traceId"), 32, "`traceId`")
    tags: dict[str, Scalar] = {**scope, **_attributes(span.get("attributes"))}
    warnings = tags.pop(JAEGER_WARNINGS, None)
    kind = _kind(span.get("kind", 0))
    if kind != "unspecified":
        tags["span.kind"] = kind
    if span.get("status"):
        status = as_mapping(span["status"], "`status`")
        write_status(status.get("code", 0), str(status.get("message", "")), tags)
    if span.get("traceState"):
        tags["w3c.tracestate"] = str(span["traceState"])
    start = _nanoseconds(span.get("startTimeUnixNano", 0), "`startTimeUnixNano`")
    end = _nanoseconds(span.get("endTimeUnixNano", 0), "`endTimeUnixNano`")
    return Span(
        trace_id=trace_id,
        span_id=_identifier(span.get("spanId"), 16, "`spanId`"),
        parent_id=_parent(span, trace_id),
        service=service,
        name=intern_text(str(span.get("name", ""))),
        kind=kind,
        start_us=start // 1000,
        duration_us=max(0, (end - start) // 1000),
        tags=tags,
        process_tags=resource,
        logs=tuple(_log(as_mapping(event, "an event")) for event in as_list(span.get("events"), "`events`")),
        warnings=() if warnings is None else (str(warnings),),
    )


def _parent(span: Mapping[str, Any], trace_id: str) -> str | None:
    """The parent, else a link to a span of the same trace; links to other traces are no parents."""
    parent = _identifier(span["parentSpanId"], 16, "`parentSpanId`") if span.get("parentSpanId") else ""
    if parent.strip("0"):
        return parent
    for item in as_list(span.get("links"), "`links`"):
        link = as_mapping(item, "a link")
        if link.get("traceId") and link.get("spanId") and _identifier(link["traceId"], 32, "a link") == trace_id:
            return _identifier(link["spanId"], 16, "`spanId` of a link")
    return None


def _kind(value: object) -> Kind:
    """OTLP/JSON says a number, protobuf's own JSON a name."""
    if isinstance(value, str) and value.startswith("SPAN_KIND_"):
        name = value.removeprefix("SPAN_KIND_").lower()
        return next((kind for kind in KINDS if kind == name), "unspecified")
    return KINDS[value] if isinstance(value, int) and 0 <= value < len(KINDS) else "unspecified"


def write_status(code: object, message: str, tags: dict[str, Scalar]) -> None:
    """The tags that Jaeger makes of a status; `code` is the number or the name of it."""
    if code in (2, "STATUS_CODE_ERROR"):
        tags["otel.status_code"] = "ERROR"
        tags["error"] = True
    elif code in (1, "STATUS_CODE_OK"):
        tags["otel.status_code"] = "OK"
    if message:
        tags["otel.status_description"] = message


def _log(event: Mapping[str, Any]) -> Log:
    fields = _attributes(event.get("attributes"))
    if event.get("name"):
        fields.setdefault("event", str(event["name"]))
    return Log(_nanoseconds(event.get("timeUnixNano", 0), "`timeUnixNano`") // 1000, fields)


def _attributes(items: object) -> dict[str, Scalar]:
    tags: dict[str, Scalar] = {}
    for item in as_list(items, "`attributes`"):
        if not isinstance(item, dict):
            raise ValueError("an attribute is not an object")
        key, value = item.get("key", ""), item.get("value")
        # Nearly all are text, and there are many.
        text = value.get("stringValue") if isinstance(value, dict) else None
        if isinstance(text, str):
            tags[intern_text(str(key))] = intern_text(text)
        else:
            other = _value(value, NESTING)
            tags[intern_text(str(key))] = other if isinstance(other, str | int | float) else str(other)
    return tags


def _value(value: object, depth: int) -> Any:
    """An AnyValue; lists and maps as Python's, for their text."""
    if not isinstance(value, dict) or not value:
        return ""
    kind, inner = next(iter(value.items()))
    match kind.replace("_v", "V"):
        case "stringValue":
            return str(inner)
        case "boolValue":
            return bool(inner)
        case "intValue":
            try:
                return int(inner)
            except (TypeError, ValueError):
                return str(inner)
        case "doubleValue":
            try:
                return float(inner)
            except (TypeError, ValueError):
                return str(inner)
        case "arrayValue" if depth and isinstance(inner, dict):
            return [_value(one, depth - 1) for one in as_list(inner.get("values"), "`values`")]
        case "kvlistValue" if depth and isinstance(inner, dict):
            pairs = [as_mapping(one, "an entry") for one in as_list(inner.get("values"), "`values`")]
            return {str(pair.get("key", "")): _value(pair.get("value"), depth - 1) for pair in pairs}
    return str(inner)


def _nanoseconds(value: object, name: str) -> int:
    """64-bit integers are strings in OTLP/JSON; numbers are taken as well."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return int(value)
    raise ValueError(f"{name} is not a number of nanoseconds")


def _identifier(value: object, digits: int, name: str) -> str:
    text = value if isinstance(value, str) else ""
    if len(text) == digits and HEX.issuperset(text):
        return text
    if len(text) == digits and HEX.issuperset(text.lower()):
        return text.lower()
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) * 2 != digits:
        raise ValueError(f"{name} is not an id of {digits} hex digits")
    return raw.hex()
