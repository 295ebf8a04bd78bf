"""Which service and which cause, read from the trace; then whether it was mended."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from meshtrail.exercises import Room, Said, done, missing, wrong
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace

PAGE = "/productpage"
JASON = "jason"
SERVICES = ("productpage", "details", "reviews", "ratings")
# A cause, and the words by which a participant may call it, in either language.
CAUSES = {
    "delay": ("delay", "delayed", "slow", "задержка", "задержан"),
    "abort": ("abort", "aborted", "fault", "injected", "обрыв", "прерван", "вброс"),
    "errors": ("error", "errors", "503", "faulty", "ошибка", "ошибки"),
    "weights": ("weight", "weights", "canary", "вес", "веса", "канарейка"),
    "mirror": ("mirror", "mirrors", "mirrored", "copy", "shadow", "зеркало", "копия", "копии"),
}
ANSWERS = {
    "delay": ("ratings", "delay"),
    "abort": ("ratings", "abort"),
    "errors": ("ratings", "errors"),
    "canary": ("reviews", "weights"),
    "mirror": ("reviews", "mirror"),
}
# An Envoy keeps its spans for up to 5 s.
LATE_S = 7.0
# productpage gives up on reviews after this time, so a timeout that shall help has to be below it.
PATIENCE_S = 3.0
PAGES = 12
"""Enough that a service which fails at every second call does not look well by chance: once in 4,096 times."""

Object = dict[str, Any]


def check(room: Room) -> Iterator[Said]:
    yield _answered(room)
    look = {"delay": _delay, "abort": _abort, "errors": _errors, "canary": _canary, "mirror": _mirror}[room.case]
    try:
        yield from look(room)
    except NoTraceError:
        yield missing("no-trace", path=PAGE)


class NoTraceError(Exception):
    """The page was asked for, and no trace of it arrived."""


def _answered(room: Room) -> Said:
    """Whether the participant named service and cause, in whatever order."""
    words = re.findall(r"\w+", (room.answer or "").lower())
    services = [name for name in SERVICES if name in words]
    causes = [cause for cause, names in CAUSES.items() if any(name in words for name in names)]
    if len(services) != 1 or len(causes) != 1:
        return missing("not-named", services=SERVICES, causes=tuple(CAUSES))
    service, cause = ANSWERS[room.case]
    if causes != [cause]:
        return wrong("wrong-cause", answer=causes[0])
    if services != [service]:
        return wrong("wrong-service", answer=services[0])
    return done("named", service=service, cause=cause)


def _delay(room: Room) -> Iterator[Said]:
    (page, *_) = _pages_of_jason(room, "productpage")
    calls = _calls(page, "productpage", "reviews")
    if not any("fault" in route for route in _routes(room, "ratings")):
        yield wrong("fault-gone", name="ratings")
    elif not any(_subset(call) == "v2" for call in calls):
        yield wrong("moved-away", user=JASON)
    elif calls and all("UT" in call.response_flags for call in calls):
        longest = max(call.duration_us for call in calls) / 1e6
        yield done("page-in-time", seconds=_seconds(page), calls=len(calls), timeout=round(longest, 1))
    elif any("fault" in route and "timeout" in route for route in _routes(room, "ratings")):
        yield wrong("timeout-behind-fault", seconds=_seconds(page))
    elif any("timeout" in route for route in _routes(room, "reviews")):
        yield wrong("timeout-too-long", seconds=_seconds(page), patience=PATIENCE_S)
    else:
        yield missing("page-late", seconds=_seconds(page), calls=len(calls), trace=page.trace_id)


def _abort(room: Room) -> Iterator[Said]:
    (page, *_) = _pages_of_jason(room, "reviews")
    calls = _calls(page, "reviews", "ratings")
    if not calls:
        yield wrong("moved-away", user=JASON)
    elif all(call.http_status == 200 for call in calls):
        yield done("stars-back", user=JASON, trace=page.trace_id)
    elif any("fault" in route and "retries" in route for route in _routes(room, "ratings")):
        yield wrong("retries-behind-fault", status=calls[0].http_status, calls=len(calls))
    else:
        yield missing("call-aborted", status=calls[0].http_status, trace=page.trace_id)


def _errors(room: Room) -> Iterator[Said]:
    traces = _traces(room, [answer.mark for answer in room.send(PAGES, path=PAGE)], "reviews", "ratings")
    calls = [(trace, call) for trace in traces for call in _calls(trace, "reviews", "ratings")]
    failed = [call for _, call in calls if call.http_status != 200]
    again = [call for trace, call in calls if _servers_below(trace, call) > 1]
    seen = {"calls": len(calls), "failed": len(failed), "retried": len(again)}
    policies = [route["retries"] for route in _routes(room, "ratings") if "retries" in route]
    if not calls or any(_subset(call) != "v-faulty" for _, call in calls):
        yield wrong("faulty-gone", calls=len(calls))
    elif not policies:
        yield missing("calls-fail", **seen)
    elif not any(_for_503(policy) for policy in policies):
        yield wrong("retries-not-for-503", **seen)
    elif again and len(failed) * 10 <= len(calls):
        yield done("retried", **seen)
    else:
        yield missing("too-few-retries", **seen)


def _for_503(policy: Object) -> bool:
    """Whether an answer of 503 is a reason to try again; without `retryOn` Istio's default holds, and it is none."""
    reasons = {reason.strip() for reason in str(policy.get("retryOn", "")).split(",")}
    return bool(reasons & {"5xx", "503", "gateway-error"})


def _canary(room: Room) -> Iterator[Said]:
    traces = _traces(room, [answer.mark for answer in room.send(PAGES, path=PAGE)], "productpage", "reviews")
    versions: dict[str, int] = {}
    for trace in traces:
        for call in _calls(trace, "productpage", "reviews"):
            version = _subset(call) or _revision_below(trace, call)
            versions[version] = versions.get(version, 0) + 1
    routes = _routes(room, "reviews")
    shares = [one for route in routes for one in route.get("route", []) if one.get("weight", 100) > 0]
    seen = ", ".join(f"{version}: {count}" for version, count in sorted(versions.items()))
    if not routes:
        yield wrong("no-route", seen=seen)
    elif len(shares) > 1:
        yield missing("two-versions", seen=seen, weights=", ".join(str(one.get("weight", 100)) for one in shares))
    elif len(versions) == 1:
        yield done("one-version", version=next(iter(versions)), pages=len(traces))
    else:
        yield missing("two-versions", seen=seen, weights="100")


def _mirror(room: Room) -> Iterator[Said]:
    routes = _routes(room, "reviews")
    copies = [route for route in routes if "mirror" in route or "mirrors" in route]
    shares = [one for route in routes for one in route.get("route", [])]
    if copies:
        yield missing("copies-go-on", name="reviews")
    elif len(shares) > 1 or not routes:
        yield wrong("copy-became-traffic", name="reviews")
    else:
        yield done("no-copies", name="reviews")


def _pages_of_jason(room: Room, *services: str) -> Sequence[Trace]:
    """The trace of the page that jason sees: signed in as a browser would be."""
    headers = {"host": room.host} if room.host else {}
    with httpx.Client(base_url=room.gateway, headers=headers, trust_env=False, timeout=10) as client:
        cookie = client.post("/login", data={"username": JASON}).headers["set-cookie"].partition(";")[0]
    return _traces(room, [answer.mark for answer in room.send(1, path=PAGE, headers={"cookie": cookie})], *services)


def _traces(room: Room, marks: Sequence[str], *services: str) -> Sequence[Trace]:
    """The traces of the pages, as soon as the sidecars of all of `services` have reported to each.

    A sidecar reports a request after the calls that belong to it, so those of these services are there then.
    """
    deadline = time.monotonic() + LATE_S
    while True:
        traces = [trace for request in room.requests(marks) for trace in request.traces]
        if len(traces) >= len(marks) and all(_reported(trace) >= set(services) for trace in traces):
            return traces
        if time.monotonic() > deadline:
            if traces:
                return traces
            raise NoTraceError
        time.sleep(0.1)


def _reported(trace: Trace) -> set[str]:
    return {span.app for span in trace.spans if span.kind == "server"}


def _calls(trace: Trace, caller: str, called: str) -> list[Span]:
    """The calls that the sidecar of one service made to the other."""
    return [
        span
        for span in trace.spans
        if span.kind == "client" and span.by_proxy and span.app == caller and f"|{called}." in span.destination
    ]


def _servers_below(trace: Trace, call: Span) -> int:
    """How often the other side was asked: a sidecar that tries again makes one span, the one that answers many."""
    return sum(child.kind == "server" for child in trace.children_of(call))


def _subset(call: Span) -> str:
    """`v2` of `outbound|9080|v2|reviews.meshtrail.svc.cluster.local`."""
    return call.destination.split("|")[2] if call.destination.count("|") >= 3 else ""


def _revision_below(trace: Trace, call: Span) -> str:
    found = (str(child.tags.get("istio.canonical_revision", "")) for child in trace.children_of(call))
    return next(found, "")


def _routes(room: Room, name: str) -> list[Object]:
    found = room.object("VirtualService", name) or {}
    return list(found.get("spec", {}).get("http", []))


def _seconds(trace: Trace) -> float:
    """How long the visitor waited, from the gateway's span."""
    return round(trace.spans[0].duration_us / 1e6, 1)
