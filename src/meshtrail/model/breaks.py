"""Where a chain of traces broke: which service received a request and called on without its headers.

In a mesh a trace breaks at one kind of place. A service's inbound sidecar reports a SERVER span; the service calls on
without copying the tracing headers; its outbound sidecar finds none and starts a new trace with a CLIENT span as root.
The two traces share no id, so they are joined by what is left: the service, the pod (Envoy's node id), the x-request-id
when that header was copied, and time: the call lies inside the time of the request that caused it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meshtrail.model.span import Span
from meshtrail.model.trace import Trace


@dataclass(frozen=True, slots=True)
class Break:
    """`started` is the CLIENT root span of the second trace; `received` the SERVER spans that may have caused it.

    One span in `received`: a claim. Several: the service is named, which of its requests it was is not certain.
    """

    started: Span
    received: tuple[Span, ...]
    same_request_id: bool

    @property
    def certain(self) -> bool:
        return len(self.received) == 1

    @property
    def service(self) -> str:
        """Who dropped the headers."""
        return self.started.service

    @property
    def text(self) -> str:
        kept = " (it kept x-request-id)" if self.same_request_id else ""
        if self.certain:
            return (
                f"{self.service} received a request in trace {self.received[0].trace_id} and called on without its "
                f"tracing headers{kept}: its CLIENT span starts a second trace, {self.started.trace_id}"
            )
        return (
            f"{self.service} called on without tracing headers{kept}: its CLIENT span starts trace "
            f"{self.started.trace_id}; ambiguous which request caused it, {len(self.received)} were in progress there"
        )


def broken_links(traces: Iterable[Trace]) -> tuple[Break, ...]:
    """Find every place where one of `traces` is the continuation of another one.

    Says nothing of a CLIENT root span that no request explains: a timer or a batch job starts a trace by right.
    """
    traces = tuple({trace.trace_id: trace for trace in traces}.values())
    requests = _requests_by_app(traces)
    found = []
    for trace in traces:
        for root in trace.roots:
            if root.kind == "client" and (broken := _explain(root, requests.get(root.app, ()))):
                found.append(broken)
    return tuple(sorted(found, key=lambda broken: broken.started.start_us))


@dataclass(frozen=True, slots=True)
class _Request:
    """A request as its service saw it: the outermost SERVER span, and the calls already known to belong to it."""

    server: Span
    called: frozenset[str]


def _requests_by_app(traces: Sequence[Trace]) -> dict[str, list[_Request]]:
    requests: dict[str, list[_Request]] = {}
    for trace in traces:
        for span in trace.spans:
            if span.kind != "server":
                continue
            # An instrumented application makes its own SERVER span inside the sidecar's: one request, seen twice.
            above = trace.parent_of(span)
            if above is not None and above.kind == "server" and above.app == span.app:
                continue
            requests.setdefault(span.app, []).append(_Request(span, _calls_of(trace, span)))
    return requests


def _calls_of(trace: Trace, server: Span) -> frozenset[str]:
    """Destinations of the calls that the proxy of `server`'s application made for this request.

    An application's own CLIENT span does not count: with the headers dropped it is there all the same.
    """
    called = set()
    waiting = list(trace.children_of(server))
    while waiting:
        span = waiting.pop()
        if span.app != server.app:
            continue
        if span.kind == "client" and span.by_proxy:
            called.add(span.destination)
        waiting.extend(trace.children_of(span))
    return frozenset(called)


def _explain(root: Span, requests: Sequence[_Request]) -> Break | None:
    requests = [
        request
        for request in requests
        if request.server.trace_id != root.trace_id
        and _same_namespace(request.server, root)
        and _same_pod(request.server, root)
    ]
    if root.request_id:
        same_id = [request.server for request in requests if request.server.request_id == root.request_id]
        # Retries by the caller give several requests with one x-request-id: time tells them apart.
        if same_id:
            inside = [server for server in same_id if _contains(server, root)]
            return Break(root, tuple(inside or same_id), same_request_id=True)
    inside = [
        request.server
        for request in requests
        if _contains(request.server, root) and root.destination not in request.called
    ]
    return Break(root, tuple(inside), same_request_id=False) if inside else None


def _contains(server: Span, call: Span) -> bool:
    """Both spans come from one host's clock, so no allowance is made."""
    return server.start_us <= call.start_us and call.end_us <= server.end_us


def _same_namespace(one: Span, other: Span) -> bool:
    """Compares `<app>.<namespace>` when both say it; an SDK's service name says the app alone."""
    return one.service == other.service or "." not in one.service or "." not in other.service


def _same_pod(one: Span, other: Span) -> bool:
    """With several replicas only the pod that received the request can have made the call."""
    ours, theirs = one.tags.get("node_id"), other.tags.get("node_id")
    return not ours or not theirs or ours == theirs
