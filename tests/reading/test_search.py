from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.model.recorded import recorded
from tests.reading.jaeger_server import jaeger_server

from meshtrail.model.request import Request, group_requests
from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient, JaegerError
from meshtrail.reading.search import (
    last_requests,
    request_of_trace,
    requests_of_id,
    settled,
    wait_for_request,
)


def at(situation: str, *, ago_s: float, number: int = 0) -> tuple[Trace, ...]:
    """A recorded request that began `ago_s` seconds ago, under ids of its own."""
    traces = recorded(situation, at_us=int((time.time() - ago_s) * 1_000_000))
    return tuple(
        Trace.of(replace(span, trace_id=f"{number:04x}{span.trace_id[4:]}") for span in trace.spans) for trace in traces
    )


def ids(request: Request | None) -> list[str]:
    assert request is not None
    return [trace.trace_id for trace in request.traces]


def test_the_last_request_is_all_its_pieces() -> None:
    older = at("otlp-all", ago_s=20, number=1)
    pieces = at("otlp-backend-none", ago_s=10)
    with jaeger_server(*pieces, *older) as server, JaegerClient(server.url) as client:
        (request,) = last_requests(client, 1)
        both = last_requests(client, 2)
    assert ids(request) == [trace.trace_id for trace in pieces]
    assert [one.complete for one in both] == [True, False]


def test_the_last_requests_of_a_service() -> None:
    pieces = at("otlp-frontend-none", ago_s=10)
    newer = at("health-traced", ago_s=5, number=1)
    with jaeger_server(*pieces, *newer) as server, JaegerClient(server.url) as client:
        # Database is in the second piece only; the first belongs to the picture all the same.
        (request,) = last_requests(client, 3, service="database.default")
    assert ids(request) == [trace.trace_id for trace in pieces]


def test_any_piece_leads_to_the_whole_request() -> None:
    pieces = at("otlp-backend-none", ago_s=300)
    others = [at("otlp-all", ago_s=300 + number, number=number)[0] for number in range(1, 4)]
    with jaeger_server(*pieces, *others) as server, JaegerClient(server.url) as client:
        for piece in pieces:
            assert ids(request_of_trace(client, piece.trace_id)) == [trace.trace_id for trace in pieces]
        assert request_of_trace(client, "0") is None


def test_a_chain_of_pieces_is_followed() -> None:
    """Gateway and frontend, then frontend's piece, then backend's: the ends share no service."""
    first, second = at("otlp-frontend-none", ago_s=30)
    server_span = next(span for span in second.spans if span.app == "backend" and span.kind == "server")
    head = Trace.of(span for span in second.spans if span.start_us <= server_span.start_us)
    call, database = (span for span in second.spans if span.start_us > server_span.start_us)
    tail = Trace.of([replace(call, trace_id="c" * 32, parent_id=None), replace(database, trace_id="c" * 32)])
    with jaeger_server(first, head, tail) as server, JaegerClient(server.url) as client:
        for trace_id in (first.trace_id, "c" * 32):
            assert ids(request_of_trace(client, trace_id)) == [first.trace_id, head.trace_id, "c" * 32]


def test_a_piece_of_the_second_attempt_is_found() -> None:
    """The caller's sidecar tried twice; the first attempt ended long before the one that went on."""
    first, second = at("otlp-backend-b3", ago_s=30)
    received = first.spans[-1]
    failed = replace(received, span_id="f" * 16, start_us=received.start_us - 3000, duration_us=500)
    with jaeger_server(Trace.of([*first.spans, failed]), second) as server, JaegerClient(server.url) as client:
        request = request_of_trace(client, first.trace_id)
    assert ids(request) == [first.trace_id, second.trace_id]


def test_by_request_id() -> None:
    pieces = at("otlp-backend-none", ago_s=10)
    request_id = pieces[0].roots[0].request_id
    assert request_id
    with jaeger_server(*pieces) as server, JaegerClient(server.url) as client:
        (request,) = requests_of_id(client, request_id)
        assert requests_of_id(client, "no such") == ()
    assert ids(request) == [trace.trace_id for trace in pieces]


def test_pieces_that_could_belong_to_several_are_left_to_those() -> None:
    pieces = at("otlp-backend-none", ago_s=10)
    again = at("otlp-backend-none", ago_s=10, number=1)
    shift = pieces[0].start_us - again[0].start_us
    again = tuple(Trace.of(replace(span, start_us=span.start_us + shift) for span in trace.spans) for trace in again)
    with jaeger_server(*pieces, *again) as server, JaegerClient(server.url) as client:
        requests = last_requests(client, 4)
    assert sorted(ids(request)[0] for request in requests) == sorted((pieces[0].trace_id, again[0].trace_id))
    assert all("ambiguous" in request.summary for request in requests)


def test_a_young_broken_request_is_looked_at_again() -> None:
    (whole,) = at("otlp-all", ago_s=0.1)
    half = Trace.of(whole.spans[1:])
    answers = [Request((half,)), Request((half,)), Request((whole,))]
    looked = 0

    def look() -> tuple[Request, ...]:
        nonlocal looked
        looked += 1
        return (answers[looked - 1],)

    (request,) = settled(look, interval_s=0.01)
    assert request.complete
    assert looked == 3


def test_loose_ends_under_load_are_not_waited_for_forever() -> None:
    looked = []

    def look() -> tuple[Request, ...]:
        """Each time another request, of which a part is still on its way."""
        looked.append(1)
        return (Request((Trace.of(at("otlp-all", ago_s=0.1)[0].spans[1:]),)),)

    assert settled(look, interval_s=0.01, deadline_s=0.1)
    assert len(looked) > 1


def test_what_a_request_caused_after_the_moment_of_asking_belongs_to_it() -> None:
    pieces = at("otlp-backend-none", ago_s=10)
    until_us = pieces[1].start_us - 1
    later = at("otlp-all", ago_s=5, number=1)
    with jaeger_server(*pieces, *later) as server, JaegerClient(server.url) as client:
        (request,) = last_requests(client, 1, until_us=until_us)
    assert ids(request) == [trace.trace_id for trace in pieces]


@pytest.mark.parametrize(
    "make",
    [
        lambda: group_requests(at("otlp-backend-none", ago_s=0.1)),
        lambda: group_requests(at("otlp-all", ago_s=0.1)),
        lambda: (Request((Trace.of(at("otlp-all", ago_s=60)[0].spans[1:]),)),),
        lambda: (),
    ],
    ids=["broken and explained", "complete", "old", "none"],
)
def test_what_is_settled_is_given_at_once(make: Callable[[], tuple[Request, ...]]) -> None:
    requests = make()
    looked = []

    def look() -> tuple[Request, ...]:
        looked.append(1)
        return requests

    assert settled(look) == requests
    assert len(looked) == 1


def test_waiting_for_a_request_leaves_older_ones_aside() -> None:
    old = at("otlp-all", ago_s=60, number=1)
    since_us = int((time.time() - 30) * 1_000_000)
    pieces = at("otlp-backend-none", ago_s=10)
    with jaeger_server(*old) as server, JaegerClient(server.url) as client:
        timer = threading.Timer(0.2, lambda: server.traces.extend(pieces))
        timer.start()
        request = wait_for_request(
            client, lambda one: len(one.traces) == 2, since_us=since_us, deadline_s=10, interval_s=0.02
        )
        timer.join()
        assert ids(request) == [trace.trace_id for trace in pieces]
        with pytest.raises(JaegerError, match=r"within 0\.1 s.*'broken in 2 pieces at backend\.default'"):
            wait_for_request(client, lambda one: one.complete, since_us=since_us, deadline_s=0.1, interval_s=0.02)
        with pytest.raises(JaegerError, match="none at all was seen"):
            wait_for_request(
                client, lambda one: True, since_us=int(time.time() * 1_000_000), deadline_s=0.1, interval_s=0.02
            )
