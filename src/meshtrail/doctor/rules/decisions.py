"""The sampling decision and x-request-id, which carries it: both are made once, at the edge, and then handed on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from meshtrail.doctor.finding import Finding, evidence
from meshtrail.doctor.noise import is_health_path
from meshtrail.doctor.seen import Call, Seen, Server
from meshtrail.reading.words import count

MEND_ID = "let {service} copy x-request-id to its calls, besides traceparent or b3"
SOME = 0.02
LOST = 0.05
"""Fewer than this are spans that got lost on their way."""
AT_LEAST = 2
MANY = 3


def sampling_lost(seen: Seen) -> Iterator[Finding]:
    for service, host, _tally in _redecided(seen):
        name = seen.name_of(service, host)
        lacking = [server for server in seen.servers_of(service) if host not in server.called]
        share = len(lacking) / len(seen.servers_of(service))
        yield Finding(
            "sampling-lost",
            "warning",
            service,
            f"{service} does not hand on the sampling decision: x-request-id changes on its calls to {name}, so the "
            "decision "
            f"is made anew there, and {count(len(lacking), 'request')} of {len(seen.servers_of(service))} end at "
            f"{service}",
            "likely",
            MEND_ID.format(service=service) + "; Envoy reads the decision from it",
            called=name,
            reason="x-request-id changes and calls are missing at the same place; "
            "a service that calls now and then looks alike",
            count=len(lacking),
            share=share,
            traces=evidence(server.trace for server in lacking),
        )
    yield from _own_lots(seen)
    for (service, host), calls in seen.calls.items():
        yield from _unanswered(seen, service, host, calls)


def _own_lots(seen: Seen) -> Iterator[Finding]:
    """An SDK that draws lots of its own: where it has no span, the calls behind it have none either."""
    for service, servers in seen.servers.items():
        if servers[0].by != "sidecar":
            continue
        places: dict[tuple[str, str], list[Server]] = defaultdict(list)
        for server in servers:
            if server.ok:
                places[server.path, server.node].append(server)
        lost: list[Server] = []
        asked = 0
        for here in places.values():
            kept = [server for server in here if server.own and server.called]
            gone = [server for server in here if not server.own]
            if not kept or any(server.called for server in gone):
                continue
            # One form after the other is a release; lots are mixed.
            first, last = min(one.start_us for one in here if one.own), max(one.start_us for one in here if one.own)
            if mixed := [server for server in gone if first < server.start_us < last]:
                lost += mixed
                asked += len(here)
        if len(lost) < max(AT_LEAST, SOME * asked):
            continue
        yield Finding(
            "sampling-lost",
            "warning",
            service,
            f"the SDK of {service} decides about sampling by itself: {count(len(lost), 'request')} of {asked} that "
            "the sidecar "
            f"had sampled have neither a span of the application nor a call below it",
            "certain" if len(lost) >= MANY else "likely",
            f"let the SDK of {service} follow the sidecar: OTEL_TRACES_SAMPLER=parentbased_always_on",
            reason="at the same endpoint and pod the application's spans and its calls are missing together",
            count=len(lost),
            share=len(lost) / asked,
            traces=evidence(server.trace for server in lost),
        )


def _redecided(seen: Seen) -> Iterator[tuple[str, str, object]]:
    for (service, host), tally in seen.changed_ids.items():
        servers = seen.servers_of(service)
        paths = {server.path for server in servers if host in server.called}
        lacking = [server for server in servers if host not in server.called and server.path in paths]
        if tally.count >= 0.9 * tally.total and len(lacking) >= max(AT_LEAST, SOME * len(servers)):
            yield service, host, tally


def asked_in_mesh(call: Call) -> bool:
    """Whether the other end should have reported: something answered there, and it was no health check."""
    return call.answered and call.settled and not is_health_path(call.path)


def _unanswered(seen: Seen, service: str, host: str, calls: list[Call]) -> Iterator[Finding]:
    asked = [call for call in calls if asked_in_mesh(call)]
    split = {one.sent for one in seen.splits}
    # A span that got lost leaves those below it behind; lots leave nothing below.
    split |= {orphan.trace for orphan in seen.orphans}
    silent = [call for call in asked if not call.reached and not call.beyond and call.trace not in split]
    if len(silent) < max(AT_LEAST, LOST * len(asked)) or len(silent) == len(asked):
        return
    if seen.are_oldest(call.start_us for call in silent):
        return
    subsets = Counter(call.subset for call in silent)
    others = Counter(call.subset for call in asked if call.reached)
    if not any(others[subset] for subset in subsets):
        # All of one version: that one is outside the mesh.
        return
    name = seen.name_of(service, host)
    if (service, name) in seen.changed_between:
        why = "; x-request-id changes between the two, so the decision is made anew there"
        mend = f"look for x-request-id in headers.request of the VirtualServices for {name}: the decision is in it"
    else:
        why = ""
        mend = (
            f"see that every pod of {name} has a sidecar, and that no Telemetry for it samples anew or switches "
            "reporting "
            "off (disableSpanReporting, randomSamplingPercentage)"
        )
    yield Finding(
        "sampling-lost",
        "warning",
        name,
        f"{name} reports only some of the requests that it answers: {count(len(silent), 'call')} of {len(asked)} from "
        f"{service} were sampled and have no SERVER span{why}",
        "likely",
        mend,
        called="",
        reason="the caller's spans are there and something answered; spans that were dropped on the way look alike",
        count=len(silent),
        share=len(silent) / len(asked),
        traces=evidence(call.trace for call in silent),
    )


def request_id_changed(seen: Seen) -> Iterator[Finding]:
    lost = {(service, host) for service, host, _ in _redecided(seen)}
    for (service, host), tally in seen.changed_ids.items():
        if not tally.count or (service, host) in lost:
            continue
        name = seen.name_of(service, host)
        yield Finding(
            "request-id-changed",
            "warning",
            service,
            f"{service} does not forward x-request-id on {_some(tally.count, tally.total)} to {name}: the trace holds "
            "together, the id does not",
            "certain",
            MEND_ID.format(service=service)
            + ": below 100 % sampling pieces go missing without it, and logs cannot be joined",
            called=name,
            reason="the two spans are of one trace and one service, and bear different ids",
            count=tally.count,
            share=tally.share,
            traces=evidence(tally.traces),
        )
    for (service, called), tally in seen.changed_between.items():
        calls = sum(call.reached == called for call in seen.all_calls() if call.service == service)
        yield Finding(
            "request-id-changed",
            "warning",
            service,
            f"x-request-id changes between {service} and {called} on {_some(tally.count, calls)}: no application is "
            "between "
            "the two, so the configuration does it",
            "certain",
            f"look for x-request-id in headers.request of the VirtualServices for {called}, and for a gateway on the "
            "way that "
            "makes ids of its own",
            called=called,
            reason="the two spans are the two ends of one call",
            count=tally.count,
            share=tally.count / max(calls, tally.count),
            traces=evidence(tally.traces),
        )


def _some(number: int, total: int) -> str:
    return f"its {count(number, 'call')}" if number == total else f"{number} of its {count(total, 'call')}"
