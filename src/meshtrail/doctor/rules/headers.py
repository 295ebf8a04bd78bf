"""Headers that a service does not forward: all calls, some of them, or headers of the wrong format."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from meshtrail.doctor.drops import HALF, MOST, UNLIKELY, Drop, When, when
from meshtrail.doctor.finding import Finding, Level, evidence
from meshtrail.doctor.matching import match
from meshtrail.doctor.seen import Seen, Server
from meshtrail.doctor.splits import Split
from meshtrail.reading.words import clock, count

MANY = 3
OTHER = {"W3C": "B3 (x-b3-*)", "B3": "W3C (traceparent, tracestate)"}
OURS = {"W3C": "W3C (traceparent, tracestate)", "B3": "B3 (x-b3-*)"}

MEND = (
    "copy the tracing headers of the request that {service} received to its call to {called}: x-request-id, "
    "traceparent, "
    "tracestate, b3, x-b3-* (docs/services.md has the whole list)"
)
MEND_SDK = (
    "; its SDK has spans there: see what OTEL_PROPAGATORS of {service} says, and that the HTTP client is instrumented"
)


def dropped(seen: Seen) -> Iterator[Finding]:
    for drop, at in _judged(seen):
        if drop.keeps_request_id or at.kind == "partly":
            continue
        yield _finding("headers-dropped", drop, at, seen)


def partly(seen: Seen) -> Iterator[Finding]:
    for drop, at in _judged(seen):
        if at.kind == "partly" and not drop.keeps_request_id:
            yield _finding("headers-dropped-partly", drop, at, seen)


def mismatch(seen: Seen) -> Iterator[Finding]:
    for drop, at in _judged(seen):
        if drop.keeps_request_id:
            yield _format(drop, at, seen)
    yield from _deaf(seen)
    yield from _between(seen)


def _judged(seen: Seen) -> Iterator[tuple[Drop, When]]:
    for drop in seen.drops:
        yield drop, when(drop, seen)


def _finding(rule: str, drop: Drop, at: When, seen: Seen) -> Finding:
    called = seen.name_of(drop.service, drop.host)
    calls = count(len(drop.calls), "call")
    drops = f"{drop.service} drops the tracing headers"
    start = "starts a trace of its own" if len(drop.calls) == 1 else "start a trace of their own"
    if at.kind == "partly":
        of = f" of {len(drop.calls) + len(drop.joined)}"
        which = f": {at.what}" if at.what else ", on no endpoint, version or pod in particular"
        text = f"{drops} on some of its calls to {called}: {calls}{of} {start}{which}"
    elif drop.after:
        text = f"{drops} on calls to {called} that it makes after its answer: {calls} {start}"
    else:
        text = f"{drops} on its calls to {called}: {calls} {start}"
    return _made(rule, drop, at, called, text, seen)


def _made(rule: str, drop: Drop, at: When, called: str, text: str, seen: Seen) -> Finding:
    level: Level = "note" if drop.confidence == "possible" or at.kind == "until" else "error"
    if at.kind == "since":
        text += f"; since {clock(at.at_us)}, {count(at.whole, 'call')} before it were whole"
    elif at.kind == "until":
        text = text.replace(" drops ", " dropped ", 1).replace(" keeps ", " kept ", 1)
        text += f"; mended since {clock(at.at_us)}, {count(at.whole, 'call')} after it are whole"
    if drop.confidence == "possible":
        text = text.replace(" drops ", " may drop ", 1)
    mend = MEND
    if any(server.own for server in drop.of if server is not None):
        mend += MEND_SDK
    if at.kind == "partly" and at.what:
        mend = f"look at {at.what}: " + mend
    return Finding(
        rule,
        level,
        drop.service,
        text,
        drop.confidence,
        mend.format(service=drop.service, called=called),
        called=called,
        reason=drop.reason,
        count=len(drop.calls),
        share=_share(drop, at),
        traces=evidence(_pieces(drop)),
    )


def _share(drop: Drop, at: When) -> float:
    """Of the calls to that host; of those since the break began, when that is known."""
    if at.kind != "since":
        return drop.share
    joined = sum(call.start_us >= at.at_us for call in drop.joined)
    return len(drop.calls) / (len(drop.calls) + joined)


def _pieces(drop: Drop) -> Iterator[str]:
    """The two traces of a request, one after the other."""
    for call, server in zip(drop.calls, drop.of, strict=True):
        if server is not None:
            yield server.trace
        yield call.trace


def _format(drop: Drop, at: When, seen: Seen) -> Finding:
    called = seen.name_of(drop.service, drop.host)
    speak = seen.speaks.get(drop.service, "W3C")
    text = (
        f"{drop.service} keeps x-request-id but no header that the proxies read on its calls to {called}: "
        f"{count(len(drop.calls), 'call')} start a trace of their own. The proxies speak {OURS[speak]}; it forwards "
        "only "
        f"{OTHER[speak]}, or its list of headers is incomplete"
    )
    made = _made("format-mismatch", drop, at, called, text, seen)
    mend = (
        f"let {drop.service} forward {OURS[speak]} as well (OTEL_PROPAGATORS where it has an SDK), or give the mesh a "
        "provider that speaks its format: meshConfig.extensionProviders and the Telemetry that names it"
    )
    return Finding(
        made.rule, made.level, made.service, made.text, made.confidence, mend, made.called, made.reason, made.count,
        made.share, made.traces,
    )  # fmt: skip


def _deaf(seen: Seen) -> Iterator[Finding]:
    found: dict[str, list[tuple[Server, Server | None]]] = defaultdict(list)
    for root, server in deaf(seen):
        if server is not None:
            found[server.service].append((root, server))
    for service, pairs in found.items():
        speak = seen.speaks.get(service, "W3C")
        behind = [server for server in seen.servers_of(service) if not server.own]
        yield Finding(
            "format-mismatch",
            "error",
            service,
            f"the SDK of {service} does not read the headers that its sidecar hands it: "
            f"{count(len(pairs), 'SERVER span')} "
            f"of the application start a trace of their own inside the sidecar's. The proxies speak {OURS[speak]}",
            "certain" if len(pairs) >= MANY else "likely",
            f"put the propagator that reads {OURS[speak]} into OTEL_PROPAGATORS of {service}, for instance "
            "b3multi,tracecontext,baggage",
            reason="each begins while the sidecar has a request at work without the SDK's",
            count=len(pairs),
            share=len(pairs) / max(len(pairs), len(behind)),
            traces=evidence(one.trace for root, server in pairs if server for one in (server, root)),
        )


def deaf(seen: Seen) -> Iterator[tuple[Server, Server | None]]:
    """SERVER roots that an SDK made, each with the request of the sidecar in which it lies.

    Only of services where most of them do: one that is asked past its sidecar makes roots by right.
    """
    for app, roots in seen.sdk_roots.items():
        behind: list[Server] = []
        for name, servers in seen.servers.items():
            if name.partition(".")[0] == app and servers[0].by == "sidecar":
                behind += [server for server in servers if not server.own]
        if not behind:
            continue
        found = match(roots, behind)
        enough = len(found.servers) >= HALF * len(behind) or found.chance < UNLIKELY
        if enough and found.inside >= MOST * len(roots):
            yield from zip(roots, found.of, strict=True)


def _between(seen: Seen) -> Iterator[Finding]:
    """A proxy that does not read what the one before it sent: the mesh has two providers of different formats."""
    found: dict[tuple[str, str], list[Split]] = defaultdict(list)
    for split in seen.splits:
        found[split.caller, split.service].append(split)
    for (caller, service), cases in found.items():
        ours, theirs = Counter(case.formats for case in cases).most_common(1)[0][0]
        if ours != theirs:
            why = f"{caller} speaks {OURS[ours]}, {service} {OURS[theirs]}"
            mend = f"let the Telemetries that hold for {caller} and {service} name providers of one format"
        else:
            why = "both speak the same format, so something between takes the headers away"
            mend = f"look for tracing headers in headers.request.remove of the VirtualServices for {service}"
        yield Finding(
            "format-mismatch",
            "error",
            service,
            f"the proxies of {caller} and {service} do not understand each other: {count(len(cases), 'request')} with "
            "one "
            f"x-request-id in two traces; {why}",
            "certain",
            mend,
            called="",
            reason="no application is between the two, and x-request-id is the same",
            count=len(cases),
            share=len(cases) / max(len(cases), len(seen.servers_of(service))),
            traces=evidence(trace for case in cases for trace in (case.sent, case.received)),
        )
