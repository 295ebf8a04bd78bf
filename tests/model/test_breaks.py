from __future__ import annotations

from dataclasses import replace

import pytest
from tests.model.recorded import (
    BROKEN,
    EPOCH_US,
    PARENT_OUTSIDE,
    WHOLE,
    recorded,
    recorded_at_true_times,
)

from meshtrail.model.breaks import broken_links
from meshtrail.model.request import group_requests, telling
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace


@pytest.mark.parametrize(("situation", "service"), BROKEN.items())
def test_a_recorded_break_names_the_service_that_dropped_the_headers(situation: str, service: str) -> None:
    first, second = recorded(situation)
    (broken,) = broken_links([second, first])
    assert broken.certain
    assert broken.service == service
    assert broken.started is second.roots[0]
    assert broken.received == (first.spans[-1],)
    assert broken.received[0].kind == "server"
    assert f"{service} received a request in trace {first.trace_id}" in broken.text
    assert second.trace_id in broken.text
    assert broken.same_request_id == (situation == "otlp-backend-b3")


def test_a_break_is_found_at_the_true_times_of_a_recording() -> None:
    traces = recorded_at_true_times("jaeger-b3-backend-none")
    (broken,) = broken_links(traces)
    assert (broken.service, broken.certain) == ("backend.default", True)


@pytest.mark.parametrize("situation", [*WHOLE, *PARENT_OUTSIDE])
def test_a_whole_recording_gives_no_alarm(situation: str) -> None:
    traces = recorded(situation)
    assert len(traces) == 1
    assert broken_links(traces) == ()
    assert traces[0].complete == (situation in WHOLE)


def test_whole_requests_at_the_same_time_give_no_alarm() -> None:
    traces = [_copy(recorded(situation)[0], number) for number, situation in enumerate(WHOLE)]
    assert broken_links(traces) == ()
    assert all(request.complete for request in group_requests(traces))


def test_one_broken_among_whole_requests_at_the_same_time_is_joined_to_its_own() -> None:
    first, second = recorded("otlp-backend-none")
    # Same services, same pods, same moment: the whole ones made their call to database already.
    others = [_copy(_in_pods_of(recorded("otlp-all")[0], first), number) for number in range(5)]
    (broken,) = broken_links([*others, first, second])
    assert broken.received == (first.spans[-1],)
    requests = group_requests([*others, first, second])
    assert sum(request.complete for request in requests) == 5
    (together,) = [request for request in requests if not request.complete]
    assert together.traces == (first, second)
    assert together.summary == "broken in 2 pieces at backend.default"


def test_two_broken_requests_at_the_same_time_are_ambiguous() -> None:
    pieces = recorded("otlp-backend-none")
    again = [_copy(trace, 7) for trace in pieces]
    found = broken_links([*pieces, *again])
    assert [broken.certain for broken in found] == [False, False]
    assert all(broken.service == "backend.default" for broken in found)
    assert all("ambiguous" in broken.text for broken in found)
    requests = group_requests([*pieces, *again])
    assert len(requests) == 4
    assert not any(request.complete for request in requests)
    # Of one that overlaps with no other more can be said.
    (alone,) = group_requests([_copy(trace, 8) for trace in recorded("otlp-backend-none", at_us=EPOCH_US + 10_000_000)])
    assert telling([*requests, alone]) is alone
    assert telling(requests) is requests[0]
    assert telling([]) is None


def test_the_request_id_decides_between_requests_at_the_same_time() -> None:
    pieces = recorded("otlp-backend-b3")
    again = [_copy(trace, 7, request_id="another") for trace in pieces]
    found = broken_links([*pieces, *again])
    assert [broken.certain for broken in found] == [True, True]
    requests = group_requests([*pieces, *again])
    assert [len(request.traces) for request in requests] == [2, 2]


def test_two_broken_requests_one_after_the_other_are_kept_apart() -> None:
    pieces = recorded("otlp-backend-none")
    later = [_copy(trace, 7, shift_us=20_000) for trace in pieces]
    requests = group_requests([*later, *pieces])
    assert [[trace.trace_id for trace in request.traces] for request in requests] == [
        [trace.trace_id for trace in pieces],
        [trace.trace_id for trace in later],
    ]


def test_another_replica_cannot_have_made_the_call() -> None:
    first, second = recorded("otlp-backend-none")
    elsewhere = _copy(first, 7, node_id="sidecar~10.9.9.9~backend-other.default~default.svc.cluster.local")
    (broken,) = broken_links([elsewhere, first, second])
    assert broken.received == (first.spans[-1],)


def test_a_call_that_no_request_explains_is_no_break() -> None:
    first, second = recorded("otlp-backend-none")
    late = _copy(second, 7, shift_us=60_000_000)
    assert broken_links([first, late]) == ()
    assert broken_links([second]) == ()


def test_a_call_beside_a_request_that_made_its_own_is_no_break() -> None:
    """A timer in the backend asks the database while a whole request is in progress there."""
    whole = recorded("otlp-all")[0]
    second = recorded("otlp-backend-none")[1]
    timer = _in_pods_of(second, whole)
    server = next(span for span in whole.spans if span.app == "backend" and span.kind == "server")
    shift = server.start_us + 100 - timer.start_us
    assert broken_links([whole, _copy(timer, 7, shift_us=shift)]) == ()


def test_an_instrumented_application_is_one_request_not_two() -> None:
    """Sidecar SERVER > application SERVER > application CLIENT; the headers of that call were not written."""
    first, second = recorded("otlp-backend-none")
    server = first.spans[-1]
    inner = Span(
        first.trace_id,
        "a" * 16,
        server.span_id,
        "backend",
        "GET /",
        "server",
        server.start_us + 1,
        server.duration_us - 2,
    )
    call = Span(
        first.trace_id, "b" * 16, "a" * 16, "backend", "GET", "client", inner.start_us + 1, inner.duration_us - 2
    )
    (broken,) = broken_links([Trace.of([*first.spans, inner, call]), second])
    assert broken.received == (server,)


def test_the_call_of_an_application_itself_does_not_stand_for_its_sidecars() -> None:
    first, second = recorded("otlp-backend-none")
    server, root = first.spans[-1], second.roots[0]
    call = Span(
        first.trace_id,
        "b" * 16,
        server.span_id,
        "backend",
        root.name,
        "client",
        root.start_us - 1,
        root.duration_us + 2,
    )
    no_cluster = {key: value for key, value in root.tags.items() if key != "upstream_cluster"}
    nameless = Trace.of([replace(root, tags=no_cluster), *second.spans[1:]])
    (broken,) = broken_links([Trace.of([*first.spans, call]), nameless])
    assert broken.received == (server,)


def test_of_several_attempts_with_one_request_id_time_decides() -> None:
    """The caller's sidecar tried twice; backend called on without its headers in the second attempt."""
    first, second = recorded("otlp-backend-b3")
    server = first.spans[-1]
    failed = replace(server, span_id="f" * 16, start_us=server.start_us - 1000, duration_us=500)
    (broken,) = broken_links([Trace.of([*first.spans, failed]), second])
    assert broken.received == (server,)


def test_calls_further_down_are_not_the_services_own() -> None:
    """backend calls database with the headers; frontend asks database too, without them."""
    (whole,) = recorded("otlp-all")
    server = next(span for span in whole.spans if span.app == "frontend" and span.kind == "server")
    below = next(span for span in whole.spans if span.app == "backend" and span.kind == "client")
    own = replace(below, trace_id="c" * 32, parent_id=None, service=server.service, tags={**below.tags})
    own = replace(own, tags={**own.tags, "node_id": server.tags["node_id"], "guid:x-request-id": "its own"})
    (broken,) = broken_links([whole, Trace.of([own])])
    assert broken.received == (server,)


def test_a_broken_chain_of_three_is_one_request() -> None:
    """frontend and backend both drop the headers: gateway's trace, frontend's, backend's."""
    first, second = recorded("otlp-frontend-none")
    server = next(span for span in second.spans if span.app == "backend" and span.kind == "server")
    head = Trace.of(span for span in second.spans if span.start_us <= server.start_us)
    call, database = (span for span in second.spans if span.start_us > server.start_us)
    tail = Trace.of([replace(call, trace_id="c" * 32, parent_id=None), replace(database, trace_id="c" * 32)])
    (request,) = group_requests([tail, head, first])
    assert [trace.trace_id for trace in request.traces] == [first.trace_id, head.trace_id, "c" * 32]
    assert request.summary == "broken in 3 pieces at frontend.default, backend.default"


def _copy(
    trace: Trace, number: int, *, shift_us: int = 0, request_id: str | None = None, node_id: str | None = None
) -> Trace:
    """The same trace under another id."""
    changed = {"guid:x-request-id": request_id, "node_id": node_id}
    trace_id = f"{number:04x}{trace.trace_id[4:]}"
    return Trace.of(
        replace(
            span,
            trace_id=trace_id,
            start_us=span.start_us + shift_us,
            tags={**span.tags, **{key: value for key, value in changed.items() if value and key in span.tags}},
        )
        for span in trace.spans
    )


def _in_pods_of(trace: Trace, other: Trace) -> Trace:
    """The same trace as if the pods of `other` had made it."""
    pods = {span.service: span.tags["node_id"] for span in other.spans if "node_id" in span.tags}
    return Trace.of(
        replace(span, tags={**span.tags, "node_id": pods[span.service]})
        if span.service in pods and "node_id" in span.tags
        else span
        for span in trace.spans
    )


def test_recordings_begin_where_they_are_placed() -> None:
    assert recorded("otlp-all")[0].start_us == EPOCH_US
