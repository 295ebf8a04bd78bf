"""The participant has seen a span without its parent, named whose it was, and has that parent exported again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence

from meshtrail.exercises import Answer, Room, Said, done, missing, wrong
from meshtrail.model.request import Request
from meshtrail.model.span import Span
from meshtrail.reading.words import called_host

INSTRUMENTED = "backend"
"""The one service in its otel form: exercise.yaml."""

COUNT = 3
PATIENCE_S = 1.5
"""An application exports on its own, and later than a sidecar."""


def check(room: Room) -> Iterator[Said]:
    requests = _settled(room, room.send(COUNT))
    orphans = _orphans(requests) or _orphans(room.recent(100))
    if orphans:
        last = orphans[-1]
        yield done("seen", trace=last.trace_id, parent=(last.parent_id or "")[:8], by=last.service)
        yield _named(room, last)
    else:
        yield missing("not-seen", gateway=room.gateway)
    yield _mended(room, requests)


def _settled(room: Room, answers: Sequence[Answer]) -> tuple[Request, ...]:
    """The requests once nothing is missing in them, else as they are when everything has had its time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        requests = room.requests(answers)
        if _all_whole(requests) or time.monotonic() > deadline:
            return requests
        time.sleep(0.1)


def _all_whole(requests: Sequence[Request]) -> bool:
    return len(requests) == COUNT and all(request.complete and _own_spans(request) for request in requests)


def _own_spans(request: Request) -> list[Span]:
    """What the applications themselves have exported, not their proxies."""
    return [span for trace in request.traces for span in trace.spans if span.maker == "application"]


def _orphans(requests: Iterable[Request]) -> list[Span]:
    """Calls of a sidecar whose parent is in no trace: it can only be a span of the application beside it."""
    return [
        span
        for request in requests
        for trace in request.traces
        for span in trace.orphans
        if span.kind == "client" and span.maker == "sidecar"
    ]


def _named(room: Room, orphan: Span) -> Said:
    if not room.answer:
        return missing("not-named")
    words = [word for word in re.findall(r"[a-z]+", room.answer.lower()) if word in room.services]
    called = (called_host(orphan) or "").partition(".")[0]
    if words == [orphan.app]:
        return done("named", service=orphan.app, parent=(orphan.parent_id or "")[:8])
    if words == [called]:
        return wrong("named-the-called", named=called, trace=orphan.trace_id)
    if len(words) == 1:
        return wrong("named-another", named=words[0], trace=orphan.trace_id)
    return wrong("not-one-service", answer=room.answer, services=room.services)


def _mended(room: Room, requests: Sequence[Request]) -> Said:
    culprit = INSTRUMENTED
    if _all_whole(requests):
        spans = len(_own_spans(requests[-1]))
        return done("exported", service=culprit, spans=spans, trace=requests[-1].traces[0].trace_id)
    if room.form(culprit) == "plain":
        return wrong("sdk-removed", service=culprit)
    if not requests:
        return missing("no-traces", sent=COUNT)
    mode = room.propagation().get(culprit, "all")
    if mode != "all":
        return wrong("cut-off", service=culprit, mode=mode, pieces=sum(len(one.traces) for one in requests))
    return missing("still-phantom", service=culprit, orphans=len(_orphans(requests)), sent=COUNT)
