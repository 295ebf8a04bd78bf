"""Nothing personal in the spans; a retention that fits the disk; every error kept, of the rest a part."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from meshtrail.exercises import Room, Said, done, missing, wrong
from meshtrail.model.span import Span

# What the check's own requests carry, and no span shall.
EMAIL = "anna@example.com"
USER = "anna"
PATH = f"/?email={EMAIL}"
COUNT = 2

# The figures of the question, and how much a span of a sidecar takes in the index (docs/production.md).
DISK_BYTES = 200e9
REQUESTS_PER_S = 2000
SAMPLED = 0.01
COPIES = 2
SPAN_BYTES = 1300
DAY_S = 86_400

# For the case "tail": the users of faults.yaml, and how long a decision takes: the collector waits for 10 s after the
# first span, a sidecar holds that for up to 5 s, then there is a batch.
ORDINARY = 20
FAULTY = {"broken": 5, "slow": 3}
DECIDED_S = 25.0


def check(room: Room) -> Iterator[Said]:
    yield from {"privacy": _privacy, "storage": _storage, "tail": _tail}[room.case](room)


def _privacy(room: Room) -> Iterator[Said]:
    spans = _spans(room, PATH, {"end-user": USER})
    if not spans:
        yield wrong("not-traced", sent=COUNT)
        return
    named = _holding(spans, rf"\b{USER}\b(?!@)")
    urls = _holding(spans, re.escape(EMAIL))
    gateway = [found for found in urls if found[0].maker == "gateway"]
    sidecars = [found for found in urls if found[0].maker != "gateway"]
    if named:
        span, key = named[0]
        yield missing("names-user", key=key, value=USER, service=span.service, count=len(named))
    else:
        yield done("no-user", spans=len(spans))
    if not urls:
        yield done("no-query", spans=len(spans))
    elif not gateway:
        yield wrong("namespace-replaces", service=sidecars[0][0].service, key=sidecars[0][1])
    elif not sidecars:
        yield wrong("gateway-left-out", service=gateway[0][0].service, key=gateway[0][1])
    else:
        yield missing("query-in-url", key=urls[0][1], value=EMAIL, service=urls[0][0].service, count=len(urls))


def _storage(room: Room) -> Iterator[Said]:
    spans = _spans(room, "/", {})
    if not spans:
        yield wrong("not-traced", sent=COUNT)
        return
    each = round(len(spans) / COUNT)
    per_day = REQUESTS_PER_S * SAMPLED * each * SPAN_BYTES * COPIES * DAY_S
    right = math.floor(DISK_BYTES / per_day)
    given = re.search(r"\d+(?:[.,]\d+)?", room.answer or "")
    if given is None:
        yield missing("no-days", spans=each)
        return
    days = float(given[0].replace(",", "."))
    seen: dict[str, Any] = {"days": days, "spans": each}
    if math.floor(days) == right:
        yield done("days-fit", gigabytes=round(per_day * right / 1e9), disk=round(DISK_BYTES / 1e9), **seen)
    elif _near(days, right, COPIES):
        yield wrong("without-copies", copies=COPIES, **seen)
    elif _near(days, right, each) or _near(days, right, each * COPIES):
        yield wrong("without-spans", **seen)
    elif _near(days, right, SAMPLED) or days < 1:
        yield wrong("without-sampling", sampled=f"{SAMPLED:.0%}", **seen)
    elif days > right:
        yield wrong("too-long", gigabytes=round(per_day * days / 1e9), disk=round(DISK_BYTES / 1e9), **seen)
    else:
        yield missing("room-left", gigabytes=round(per_day * days / 1e9), disk=round(DISK_BYTES / 1e9), **seen)


def _tail(room: Room) -> Iterator[Said]:
    ordinary = room.send(ORDINARY)
    faulty = [answer for user, count in FAULTY.items() for answer in room.send(count, headers={"end-user": user})]
    # Sent last, so decided last: when these are there, nothing of the others is on its way.
    kept = len(room.requests(faulty, within_s=DECIDED_S))
    rest = len(room.requests(ordinary, within_s=0.5))
    seen: dict[str, Any] = {"kept": kept, "sent": len(faulty), "rest": rest, "ordinary": ORDINARY}
    if kept < len(faulty):
        telemetry = room.object("Telemetry", "mesh-default", "istio-system") or {}
        shares = [one.get("randomSamplingPercentage", 100) for one in telemetry.get("spec", {}).get("tracing", [])]
        if any(share < 100 for share in shares):
            yield wrong("decided-too-early", share=min(shares), **seen)
        else:
            yield missing("errors-missing", **seen)
    elif rest == ORDINARY:
        yield missing("everything-kept", **seen)
    else:
        yield done("tail-decides", **seen)


def _near(days: float, right: int, factor: float) -> bool:
    """Whether that factor was forgotten: the exact result lies between `right` and the next whole number of days."""
    return right * factor <= days < (right + 1) * factor


def _spans(room: Room, path: str, headers: dict[str, str]) -> list[Span]:
    """The spans of requests of the check's own, once each trace is whole."""
    answers = room.send(COUNT, path=path, headers=headers)
    return [span for request in room.requests(answers) for trace in request.traces for span in trace.spans]


def _holding(spans: list[Span], pattern: str) -> list[tuple[Span, str]]:
    """Spans in which an attribute's value matches, and which attribute it is."""
    return [
        (span, key)
        for span in spans
        for key, value in (*span.tags.items(), *span.process_tags.items())
        if re.search(pattern, str(value))
    ]
