"""What Jaeger's query service changes in a trace before it shows it: the classic API's adjusters, in their order.

Source: jaeger/cmd/query/app/querysvc/internal/adjuster (v2.13)."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

from meshtrail.store.jaeger_model import JaegerSpan, Tag
from meshtrail.store.skew import ORPHAN_CLASSIC, SkewNode, warn_of_skew

SDK_KEYS = frozenset(
    {
        "telemetry.sdk.language",
        "telemetry.sdk.name",
        "telemetry.sdk.version",
        "telemetry.distro.name",
        "telemetry.distro.version",
    }
)
_IP_KEYS = frozenset({"ip", "peer.ipv4"})


def adjust(spans: list[JaegerSpan]) -> list[JaegerSpan]:
    """The spans of one trace, adjusted in place; repeated spans are left out."""
    split_shared_ids(spans)
    for span in spans:
        _sort(span)
    spans = _without_repeats(spans)
    warn_of_skew(
        [
            SkewNode(span.span_id, span.parent_id(), span.start_ns, span.duration_ns, _host(span), span.warnings)
            for span in spans
        ],
        ORPHAN_CLASSIC,
    )
    for span in spans:
        _write_ip_addresses(span)
        _move_sdk_tags(span)
        _drop_references_without_trace(span)
        _parent_first(span)
    return spans


def split_shared_ids(spans: list[JaegerSpan]) -> None:
    """Zipkin lets client and server share one span id: the server gets an id of its own, below the client."""
    by_id: dict[int, list[JaegerSpan]] = {}
    for span in spans:
        by_id.setdefault(span.span_id, []).append(span)
    if len(by_id) == len(spans):
        return
    with_client = {span_id for span_id, group in by_id.items() if any(span.kind() == "client" for span in group)}
    new_ids: dict[int, int] = {}
    fresh = 0
    for span in spans:
        shared = span.span_id
        if shared not in with_client or span.kind() != "server":
            continue
        fresh += 1
        while fresh in by_id:
            fresh += 1
        new_ids[shared] = fresh
        span.replace_parent(shared)
        span.span_id = fresh
    for span in spans:
        new_parent = new_ids.get(span.parent_id())
        if new_parent is not None and span.span_id != new_parent:
            span.replace_parent(new_parent)


def _sort(span: JaegerSpan) -> None:
    span.tags.sort(key=Tag.sort_key)
    span.process.tags.sort(key=Tag.sort_key)
    for log in span.logs:
        event = next((tag for tag in log.fields if tag.key == "event" and tag.type == "string"), None)
        rest = [tag for tag in log.fields if tag is not event]
        rest.sort(key=Tag.sort_key)
        log.fields = [event, *rest] if event else rest


def _without_repeats(spans: list[JaegerSpan]) -> list[JaegerSpan]:
    if len({span.span_id for span in spans}) == len(spans):
        return spans
    unique: dict[str, JaegerSpan] = {}
    for span in spans:
        unique.setdefault(repr(span), span)
    return list(unique.values())


def _host(span: JaegerSpan) -> str:
    tag = next((tag for tag in span.process.tags if tag.key == "ip"), None)
    if tag is None or tag.type in ("bool", "float64"):
        return ""
    if tag.type == "string":
        return str(tag.value)
    if tag.type == "int64":
        return str(IPv4Address(tag.value & 0xFFFFFFFF))
    return str(ip_address(tag.value)) if len(tag.value) in (4, 16) else ""


def ip_text(value: float) -> str:
    """The dotted form of an IPv4 address that was sent as a number."""
    return str(IPv4Address(int(value) & 0xFFFFFFFF))


def _write_ip_addresses(span: JaegerSpan) -> None:
    for tags in (span.tags, span.process.tags):
        for at, tag in enumerate(tags):
            if tag.key in _IP_KEYS and tag.type in ("int64", "float64") and abs(tag.value) < 2**63:
                tags[at] = Tag(tag.key, "string", ip_text(tag.value))
    span.process.tags.sort(key=Tag.sort_key)


def _move_sdk_tags(span: JaegerSpan) -> None:
    moved = [tag for tag in span.tags if tag.key in SDK_KEYS]
    if moved:
        span.tags = [tag for tag in span.tags if tag.key not in SDK_KEYS]
        span.process.tags = sorted([*span.process.tags, *moved], key=Tag.sort_key)


def _drop_references_without_trace(span: JaegerSpan) -> None:
    kept = []
    for reference in span.references:
        if reference.trace_id.strip("0"):
            kept.append(reference)
        else:
            span.warnings.append(
                f"Invalid span reference removed {{TraceID:{reference.trace_id} SpanID:{reference.span_id:016x} "
                f"RefType:{reference.type} XXX_NoUnkeyedLiteral:{{}} XXX_unrecognized:[] XXX_sizecache:0}}"
            )
    span.references = kept


def _parent_first(span: JaegerSpan) -> None:
    same = [at for at, reference in enumerate(span.references) if reference.trace_id == span.trace_id]
    child_of = [at for at in same if span.references[at].type == "CHILD_OF"]
    first = (child_of or same or [0])[0]
    if first:
        span.references[0], span.references[first] = span.references[first], span.references[0]
