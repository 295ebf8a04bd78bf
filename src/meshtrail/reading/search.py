"""Find whole requests: a Jaeger search finds traces, and a broken request is several of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from meshtrail.model.request import Request, group_requests
from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient, JaegerError

BEFORE_US = 5_000_000
"""A call starts during the request that caused it; how long ago that one may have begun, and still be found."""

SETTLE_US = 2_000_000
"""Spans of a request that ended less than this ago may still be on their way."""

PIECES_LIMIT = 200


def last_requests(
    client: JaegerClient,
    number: int,
    *,
    service: str | None = None,
    since_us: int | None = None,
    until_us: int | None = None,
) -> tuple[Request, ...]:
    """The last `number` requests, the newest at the end; of those that touch `service` if given.

    Only requests with a span that began from `since_us` (default: two days ago) to `until_us` (default: now); what they
    caused later belongs to them.
    """
    services = None if service is None else (service,)
    # A request may be as many traces as it has hops.
    found = client.find_any(services=services, start_us=since_us, end_us=until_us, limit=number * 4 + 4)
    last = _without_strays(group_requests(found))[-number:]
    traces = [trace for request in last for trace in request.traces]
    wanted = {trace.trace_id for trace in traces}
    return tuple(
        request
        for request in _without_strays(group_requests(_with_pieces(client, traces)))
        if any(trace.trace_id in wanted for trace in request.traces)
    )


def request_of_trace(client: JaegerClient, trace_id: str) -> Request | None:
    """The request that the trace is, or is a piece of; None when there is no such trace."""
    trace = client.trace(trace_id)
    if trace is None:
        return None
    groups = group_requests(_with_pieces(client, (trace,)))
    return next(group for group in groups if any(one.trace_id == trace.trace_id for one in group.traces))


def requests_of_id(client: JaegerClient, request_id: str, *, service: str | None = None) -> tuple[Request, ...]:
    """The requests in which a proxy saw that x-request-id, in order of start."""
    found = client.by_request_id(request_id, services=None if service is None else (service,))
    wanted = {trace.trace_id for trace in found}
    groups = group_requests(_with_pieces(client, found)) if found else ()
    return tuple(group for group in groups if any(trace.trace_id in wanted for trace in group.traces))


def settled(
    look: Callable[[], tuple[Request, ...]], *, interval_s: float = 0.1, deadline_s: float = 5.0
) -> tuple[Request, ...]:
    """Look again while the newest request has loose ends and is so young that spans may still be on their way.

    Loose ends that stay are given once they are two seconds old. `look` should see the same requests each time, not
    newer ones: under load there is always one that is young.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        requests = look()
        if not requests or requests[-1].explained or time.monotonic() > deadline:
            return requests
        age_us = time.time() * 1_000_000 - (requests[-1].start_us + requests[-1].duration_us)
        if not 0 <= age_us < SETTLE_US:
            return requests
        time.sleep(interval_s)


def _with_pieces(client: JaegerClient, traces: Iterable[Trace]) -> tuple[Trace, ...]:
    """`traces`, and what could be another piece of their requests: two pieces share the service that broke the request.

    A piece that was found so is asked in turn, until nothing more belongs to the requests of `traces`.
    """
    known = {trace.trace_id: trace for trace in traces}
    wanted = frozenset(known)
    asked: set[tuple[str, str]] = set()
    while True:
        groups = [group for group in group_requests(known.values()) if wanted & {one.trace_id for one in group.traces}]
        open_ends = {
            (trace.trace_id, service): window
            for group in groups
            for trace in group.traces
            for service, window in _open_ends(trace).items()
            if (trace.trace_id, service) not in asked
        }
        if not open_ends:
            return tuple(known.values())
        asked |= open_ends.keys()
        windows: dict[str, tuple[int, int]] = {}
        for (_, service), (start, end) in open_ends.items():
            first, last = windows.get(service, (start, end))
            windows[service] = (min(first, start), max(last, end))
        for service, (start, end) in windows.items():
            for trace in client.find(service, start_us=start, end_us=end, limit=PIECES_LIMIT):
                known.setdefault(trace.trace_id, trace)


def _open_ends(trace: Trace) -> dict[str, tuple[int, int]]:
    """Services at which the request may go on in another trace, with the time in which that one has a span there.

    A service that received a request may have called on meanwhile; one that starts the trace with a call may have
    received the request before.
    """
    windows = [(span, span.start_us) for span in trace.spans if span.kind == "server" and span.maker != "gateway"]
    windows += [(root, root.start_us - BEFORE_US) for root in trace.roots if root.kind == "client"]
    ends: dict[str, tuple[int, int]] = {}
    for span, start_us in windows:
        first, last = ends.get(span.service, (start_us, span.end_us))
        ends[span.service] = (min(first, start_us), max(last, span.end_us))
    return ends


def _without_strays(requests: Sequence[Request]) -> tuple[Request, ...]:
    """Leave out a piece that could belong to several requests here: each of those says so itself."""
    together = {trace.trace_id for request in requests for trace in request.traces}

    def stray(request: Request) -> bool:
        first = request.traces[0].spans[0]
        return any(
            not broken.certain
            and broken.started is first
            and any(span.trace_id in together for span in broken.received)
            for broken in request.breaks
        )

    return tuple(request for request in requests if not stray(request))


def wait_for_request(
    client: JaegerClient,
    predicate: Callable[[Request], bool],
    *,
    since_us: int,
    deadline_s: float = 10.0,
    interval_s: float = 0.1,
) -> Request:
    """Poll until a request that began at `since_us` or later satisfies `predicate`; gives the newest such.

    Raises JaegerError when `deadline_s` seconds have passed; it says what the last request seen looked like.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        requests = [request for request in last_requests(client, 5, since_us=since_us) if request.start_us >= since_us]
        for request in reversed(requests):
            if predicate(request):
                return request
        if time.monotonic() + interval_s > deadline:
            break
        time.sleep(interval_s)
    seen = f"the last one seen is {requests[-1].summary!r}" if requests else "none at all was seen"
    raise JaegerError(
        f"no such request within {deadline_s:g} s at {client.url}; {seen}",
        mend="is the application up (`meshtrail status`), and sampling not 0?",
    )
