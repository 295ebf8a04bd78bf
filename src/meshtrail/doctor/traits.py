"""What single spans, and a span with the one below it, tell of a service: identity, clock, double instrumentation."""

from __future__ import annotations

from collections.abc import Iterable

from meshtrail.doctor.attributes import (
    address_of_node,
    authority_of,
    called_by,
    method_of,
    path_of,
    pod_of_node,
    speaks,
    url_of,
)
from meshtrail.doctor.seen import By, Pair, Seen
from meshtrail.model.span import Span

NAMESPACES = ("service.namespace", "k8s.namespace.name")
WORKLOADS = ("k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name")
ALIKE = 0.5
"""An SDK's span that takes less than this share of the one around it is its own piece of work."""


def observe_span(seen: Seen, span: Span, by: By) -> None:
    tags, process = span.tags, span.process_tags
    if by == "application":
        if language := str(process.get("telemetry.sdk.language", "")):
            seen.languages[span.service].see(language, span.trace_id, span.start_us)
        for key in NAMESPACES:
            if value := str(process.get(key, "")):
                seen.namespaces[span.service].see(value, span.trace_id, span.start_us)
                break
        for key in WORKLOADS:
            if value := str(process.get(key, "")):
                seen.workloads[span.service].see(value, span.trace_id, span.start_us)
                break
        if (span.kind in ("server", "client") and "http.request.method" in tags) or "http.method" in tags:
            _total(seen, span)
        return
    seen.speaks[span.service] = speaks(span)
    node = str(tags.get("node_id", ""))
    if not node:
        return
    if address := address_of_node(node):
        seen.addresses[address] = span.service
    namespace = str(tags.get("istio.namespace", ""))
    if namespace:
        seen.namespaces[span.service].see(namespace, span.trace_id, span.start_us)
    canonical = str(tags.get("istio.canonical_service", ""))
    if canonical:
        seen.workloads[span.service].see(canonical, span.trace_id, span.start_us)


def pair_up(seen: Seen, span: Span, below: Iterable[Span], by: By) -> None:
    """A CLIENT span and what is below it."""
    for other in below:
        if other.kind != "server":
            continue
        if other.service == span.service:
            _calls_itself(seen, span, other)
        elif other.app != span.app:
            _clocks(seen, span, other, by)


def doubles(seen: Seen, span: Span, above: Span) -> None:
    """`span` and its parent, both an application's: the same request or call, noted by two instrumentations."""
    if span.service != above.service or span.kind != above.kind:
        return
    if span.duration_us < above.duration_us * ALIKE or _instance(span) != _instance(above):
        return
    if span.kind == "server":
        alike = method_of(span.tags) == method_of(above.tags) != "" and path_of(span.tags) == path_of(above.tags)
    else:
        url = url_of(span.tags)
        statement = _statement(span)
        alike = (bool(url) and url == url_of(above.tags)) or (bool(statement) and statement == _statement(above))
    if alike:
        scopes = " and ".join(sorted({_scope(span), _scope(above)} - {""}))
        seen.doubled[span.service, span.kind.upper()].add(span.trace_id, scopes)


def _total(seen: Seen, span: Span) -> None:
    seen.doubled[span.service, span.kind.upper()].total += 1


def _instance(span: Span) -> object:
    process = span.process_tags
    return process.get("service.instance.id") or process.get("host.name") or process.get("hostname")


def _scope(span: Span) -> str:
    return str(span.tags.get("otel.scope.name") or span.tags.get("otel.library.name") or "")


def _statement(span: Span) -> str:
    return str(span.tags.get("db.query.text") or span.tags.get("db.statement") or "")


def _calls_itself(seen: Seen, span: Span, other: Span) -> None:
    """One name on both ends of a call to another host, from one pod to another: two services that share the name."""
    host = called_by(span)[0] or authority_of(span.tags).partition(":")[0]
    ours, theirs = (pod_of_node(str(one.tags.get("node_id", ""))) for one in (span, other))
    if host and ours and theirs and ours != theirs and host.partition(".")[0] != span.app:
        seen.to_itself[span.service].add(span.trace_id, host)


def _clocks(seen: Seen, span: Span, other: Span, by: By) -> None:
    ours, theirs = (pod_of_node(str(one.tags.get("node_id", ""))) for one in (span, other))
    # An SDK's SERVER may go on after its answer; a proxy's ends with it, unless the caller hung up.
    late_us = other.end_us - span.end_us
    whole = (
        late_us > 0
        and by != "application"
        and other.tags.get("component") == "proxy"
        and not span.response_flags
        and not other.response_flags
        and span.http_status == other.http_status
    )
    seen.pairs.setdefault((span.service, ours, other.service, theirs), []).append(
        Pair(
            span.trace_id,
            other.start_us - span.start_us,
            late_us,
            other.start_us - span.end_us,
            whole,
        )
    )
