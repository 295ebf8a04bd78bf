"""Cuts a span down to the limits, and says so inside the span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from meshtrail.store.limits import Limits

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
    from google.protobuf.message import Message
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

# Attributes that the store adds to a span it had to cut, so that a reader sees it in any Jaeger UI.
DROPPED_ATTRIBUTES = "meshtrail.store.dropped_attributes"
DROPPED_EVENTS = "meshtrail.store.dropped_events"
DROPPED_LINKS = "meshtrail.store.dropped_links"
_MAX_U32 = 2**32 - 1


def needs_cut(span: Span, size: int, limits: Limits) -> bool:
    """Whether `cut_span` has anything to do.

    A span that is smaller in all than one value may be cannot hold a value that is too large: that spares looking at
    every attribute of every span.
    """
    most = limits.max_attributes
    if size > limits.max_value_bytes or len(span.attributes) > most:
        return True
    events, links = span.events, span.links
    if not events and not links:
        return False
    return (
        len(events) > limits.max_events
        or len(links) > limits.max_links
        or any(len(part.attributes) > most for parts in (events, links) for part in parts)
    )


def cut_span(span: Span, limits: Limits) -> None:
    """Bring the span within the limits, in place; dropped counts and marks tell what is missing."""
    _cut_field(span, "name", limits)
    _cut_field(span, "trace_state", limits)
    if span.HasField("status"):
        _cut_field(span.status, "message", limits)
    dropped = cut_attributes(span.attributes, limits)
    span.dropped_attributes_count = min(span.dropped_attributes_count + dropped, _MAX_U32)
    events = max(0, len(span.events) - limits.max_events)
    links = max(0, len(span.links) - limits.max_links)
    del span.events[limits.max_events :]
    del span.links[limits.max_links :]
    span.dropped_events_count = min(span.dropped_events_count + events, _MAX_U32)
    span.dropped_links_count = min(span.dropped_links_count + links, _MAX_U32)
    for event in span.events:
        _cut_field(event, "name", limits)
        gone = cut_attributes(event.attributes, limits)
        event.dropped_attributes_count = min(event.dropped_attributes_count + gone, _MAX_U32)
    for link in span.links:
        _cut_field(link, "trace_state", limits)
        gone = cut_attributes(link.attributes, limits)
        link.dropped_attributes_count = min(link.dropped_attributes_count + gone, _MAX_U32)
    for key, count in ((DROPPED_ATTRIBUTES, dropped), (DROPPED_EVENTS, events), (DROPPED_LINKS, links)):
        if count:
            span.attributes.append(KeyValue(key=key, value=AnyValue(int_value=count)))


def cut_attributes(attributes: RepeatedCompositeFieldContainer[KeyValue], limits: Limits) -> int:
    """Cut a list of attributes in place; the number of those dropped."""
    dropped = max(0, len(attributes) - limits.max_attributes)
    if dropped:
        del attributes[limits.max_attributes :]
    for attribute in attributes:
        if attribute.ByteSize() > limits.max_value_bytes:
            _cut_field(attribute, "key", limits)
            _cut_value(attribute.value, limits)
    return dropped


def _cut_field(message: Message, name: str, limits: Limits) -> None:
    text = getattr(message, name)
    cut = cut_text(text, limits.max_value_bytes)
    if cut is not text:
        setattr(message, name, cut)


def _cut_value(value: AnyValue, limits: Limits) -> None:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        value.string_value = cut_text(value.string_value, limits.max_value_bytes)
    elif kind == "bytes_value":
        if len(value.bytes_value) > limits.max_value_bytes:
            value.string_value = f"({len(value.bytes_value)} bytes, dropped by the trace store)"
    elif value.ByteSize() > limits.max_value_bytes:
        # Cutting inside a structure would give a structure that nobody sent.
        value.string_value = f"({kind} of {value.ByteSize()} bytes, dropped by the trace store)"


def cut_text(text: str, limit: int) -> str:
    """The text, or its beginning with a visible mark when it is over `limit` bytes of UTF-8."""
    if len(text) * 4 <= limit:
        return text
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    mark = f"... (cut by the trace store, {len(encoded)} bytes)"
    return encoded[: max(0, limit - len(mark))].decode(errors="ignore") + mark
