"""Exercise 3: the participant has seen a broken request, named who broke it, and mended it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from meshtrail.exercises import Room, Said, done, missing, wrong
from meshtrail.model.breaks import Break
from meshtrail.model.request import Request
from meshtrail.reading.words import called_host

REQUESTS = 3


def check(room: Room) -> Iterator[Said]:
    """Seen, named, mended: three things that may come in any order."""
    sent = room.send(REQUESTS)
    requests = room.requests(sent)
    broken = [request for request in (*room.recent(100), *requests) if certain(request)]
    if broken:
        last = broken[-1]
        yield done("seen", pieces=len(last.traces), traces=[trace.trace_id[:8] for trace in last.traces])
        yield named(room, certain(last)[0])
    else:
        yield missing("not-seen", gateway=room.gateway)
    yield mended(room, requests)


def certain(request: Request) -> list[Break]:
    return [broken for broken in request.breaks if broken.certain]


def named(room: Room, broken: Break) -> Said:
    """The answer, by the broken trace itself."""
    culprit, called = broken.started.app, (called_host(broken.started) or "").partition(".")[0]
    words = [word for word in re.findall(r"[a-z]+", (room.answer or "").lower()) if word in room.services]
    if not room.answer:
        return missing("not-named")
    if words == [culprit]:
        return done("named", culprit=culprit, called=called, trace=broken.started.trace_id[:8])
    if words == [called]:
        return wrong("named-the-called", named=called, trace=broken.started.trace_id[:8])
    if len(words) != 1:
        return wrong("not-one-service", answer=room.answer, services=room.services)
    return wrong("named-another", named=words[0])


def mended(room: Room, requests: Sequence[Request]) -> Said:
    """Whether new requests are whole; a mend that mends nothing has words of its own."""
    whole = sum(request.complete for request in requests)
    if whole == REQUESTS:
        return done("whole", count=whole)
    modes = room.propagation()
    guilty = {broken.started.app for request in requests for broken in certain(request)}
    for service in sorted(guilty):
        if modes.get(service) == "b3":
            return wrong("other-format", service=service)
    if not requests:
        return missing("no-trace", gateway=room.gateway)
    # Not the request's own summary: it names the culprit.
    return missing("still-broken", whole=whole, count=REQUESTS, pieces=max(len(request.traces) for request in requests))
