"""The traces of marked requests, once their spans have arrived."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from meshtrail.model.request import Request, group_requests
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient

USER_AGENT = ("user_agent", "user_agent.original", "http.user_agent")
"""Envoy's tag, then OpenTelemetry's, new and old."""

INTERVAL_S = 0.1
BEFORE_US = 2_000_000
PER_REQUEST = 12
"""A request that breaks at every hop of Bookinfo is as many traces."""


def mark_of(span: Span) -> str:
    return next((str(span.tags[name]) for name in USER_AGENT if name in span.tags), "")


def marks_in(traces: Sequence[Trace]) -> frozenset[str]:
    return frozenset(mark for trace in traces for span in trace.spans if (mark := mark_of(span)))


def requests_of(
    client: JaegerClient,
    marks: Collection[str],
    *,
    services: Sequence[str] | None,
    since_us: int,
    quiet_s: float,
    late_s: float,
) -> tuple[Request, ...]:
    """The requests of those marks, in order of start: once each is there with no loose end and for `quiet_s` seconds
    nothing was added, else as they are when `late_s` have passed and no span can be on its way any more.

    Quiet is needed: a request whose second piece has not arrived looks whole.

    A request of which no span bears a mark is not found; one that was not sampled has none.
    """
    wanted = frozenset(marks)
    deadline = time.monotonic() + late_s
    changed = time.monotonic()
    before = -1
    while True:
        now = time.monotonic()
        found = _look(client, wanted, services, since_us)
        spans = sum(request.span_count for request in found)
        if spans != before:
            before, changed = spans, now
        seen = marks_in([trace for request in found for trace in request.traces])
        settled = wanted <= seen and all(request.explained for request in found) and now - changed >= quiet_s
        if settled or now > deadline:
            return found
        time.sleep(INTERVAL_S)


def _look(
    client: JaegerClient, wanted: frozenset[str], services: Sequence[str] | None, since_us: int
) -> tuple[Request, ...]:
    traces = client.find_any(
        services=services,
        start_us=since_us - BEFORE_US,
        end_us=int(time.time() * 1_000_000) + BEFORE_US,
        limit=len(wanted) * PER_REQUEST + 50,
    )
    return tuple(request for request in group_requests(traces) if wanted & marks_in(request.traces))
