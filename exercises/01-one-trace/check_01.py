"""Exercise 1: a request of the participant's own is one trace, and the participant has read where its time went."""

from __future__ import annotations

import re
from collections.abc import Iterator

from meshtrail.exercises import Room, Said, done, missing, wrong
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace


def check(room: Room) -> Iterator[Said]:
    """First that there is a trace to read, then what was read in it."""
    whole = [request for request in room.recent() if request.complete]
    reading = [request.traces[0] for request in whole if longest_call(request.traces[0]) is not None]
    if not reading:
        yield missing("no-request", gateway=room.gateway)
        return
    trace = reading[-1]
    yield done("one-trace", trace=trace.trace_id, spans=len(trace.spans), services=len(trace.services))
    yield read(room, trace)


def read(room: Room, trace: Trace) -> Said:
    """What the answer is worth, by the trace itself."""
    found = longest_call(trace)
    assert found is not None
    call, served = found
    named = [word for word in re.findall(r"[a-z]+", (room.answer or "").lower()) if word in room.services]
    if not room.answer:
        return missing("no-answer")
    if not named:
        return wrong("no-service-named", answer=room.answer, services=room.services)
    if named == [call.app, served.app]:
        waited = ms(call.duration_us - served.duration_us)
        return done("read", caller=call.app, called=served.app, waited=waited, call=ms(call.duration_us))
    if named == [served.app, call.app]:
        return wrong("reversed", caller=named[0], called=named[1])
    if named == [served.app]:
        return wrong("only-called", service=served.app, own=ms(served.duration_us), call=ms(call.duration_us))
    if len(named) == 1:
        return wrong("one-service", service=named[0])
    if named[0] != call.app:
        return wrong("contains", service=named[0])
    return wrong("other-call", caller=named[0], called=named[-1])


def longest_call(trace: Trace) -> tuple[Span, Span] | None:
    """The sidecar's CLIENT span that most time passes in without its SERVER span, and that SERVER span."""
    calls = [
        (span, below)
        for span in trace.spans
        if span.kind == "client" and span.maker == "sidecar"
        for below in trace.children_of(span)
        if below.kind == "server" and below.app != span.app
    ]
    return max(calls, key=lambda pair: pair[0].duration_us - pair[1].duration_us, default=None)


def ms(duration_us: int) -> int:
    return round(duration_us / 1000)
