"""Calls that found no tracing headers although a request was being worked on: who made them, and when they do.

A sidecar that finds no headers starts a trace: its CLIENT span is a root. A timer or a batch job of a service does so
by right; a request that the service received does not. Which of the two it is, is decided over all such calls of a
service to one host together, never over a single one under load.
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meshtrail.doctor.finding import Confidence
from meshtrail.doctor.matching import Match, match
from meshtrail.doctor.seen import Call, Seen, Server

UNLIKELY = 1e-4
"""A match that chance gives less often than this is no chance."""
DOUBTFUL = 0.01
"""Where a match is one sign of several, this is enough."""
MOST = 0.9
HALF = 0.5
DELAYS_US = (10_000, 100_000, 1_000_000)
"""A call made after the answer is looked for this long."""
REGULAR = 0.15
"""Gaps that differ by less than this share of their median come from a clock."""
FEW = 5
PURE = 0.95


@dataclass(frozen=True)
class Drop:
    """Calls of `service` to `host` without the headers of their request.

    `of` has the request of each call where it is known. `same_id`: how many bear the request's x-request-id. `joined`
    are the calls to that host that are joined as they should be. `after`: the calls begin when the answer is out.
    """

    service: str
    host: str
    calls: tuple[Call, ...]
    of: tuple[Server | None, ...]
    joined: tuple[Call, ...]
    same_id: int
    confidence: Confidence
    reason: str
    after: bool = False

    @property
    def share(self) -> float:
        return len(self.calls) / (len(self.calls) + len(self.joined))

    @property
    def keeps_request_id(self) -> bool:
        return self.same_id >= HALF * len(self.calls)


def drops(seen: Seen) -> tuple[Drop, ...]:
    """Every service that makes such calls, with the host that they go to; in order of the first call."""
    found = []
    for (service, host), calls in seen.calls.items():
        roots = sorted((call for call in calls if call.how == "root"), key=lambda call: call.start_us)
        servers = seen.servers_of(service)
        if roots and servers:
            joined = tuple(call for call in calls if call.how in ("joined", "orphan"))
            drop = _explain(service, host, roots, servers, joined, seen)
            if drop is not None:
                found.append(drop)
    return tuple(sorted(found, key=lambda drop: drop.calls[0].start_us))


def _explain(
    service: str, host: str, roots: list[Call], servers: list[Server], joined: tuple[Call, ...], seen: Seen
) -> Drop | None:
    by_id: dict[str, list[Server]] = {}
    for server in servers:
        if server.request_id:
            by_id.setdefault(server.request_id, []).append(server)
    same: list[tuple[Call, Server]] = []
    rest: list[Call] = []
    for call in roots:
        requests = by_id.get(call.request_id or "", ())
        inside = [one for one in requests if one.start_us <= call.start_us <= one.end_us]
        if requests:
            same.append((call, (inside or list(requests))[0]))
        else:
            rest.append(call)
    by_time = _by_time(rest, servers, host, joined, seen) if rest else None
    if not same and by_time is None:
        return None
    pairs: list[tuple[Call, Server | None]] = [*same]
    confidence: Confidence = "certain"
    reason = "the calls bear the x-request-id of requests that the service received"
    after = len(same) > 0 and sum(call.start_us > server.end_us for call, server in same) >= MOST * len(same)
    if by_time is not None and len(rest) >= len(same):
        confidence, reason, after = by_time.confidence, by_time.reason, by_time.after
    if by_time is not None:
        pairs += [(call, server) for call, server in zip(rest, by_time.of, strict=True) if server or by_time.unmatched]
    pairs.sort(key=lambda pair: pair[0].start_us)
    return Drop(
        service,
        host,
        tuple(call for call, _ in pairs),
        tuple(server for _, server in pairs),
        joined,
        len(same),
        confidence,
        reason,
        after,
    )


@dataclass(frozen=True)
class _ByTime:
    of: tuple[Server | None, ...]
    confidence: Confidence
    reason: str
    after: bool = False
    unmatched: bool = False
    """Calls without a request of their own belong to it too: their requests were not sampled."""


def _by_time(
    calls: list[Call], servers: list[Server], host: str, joined: tuple[Call, ...], seen: Seen
) -> _ByTime | None:
    lacking = [server for server in servers if host not in server.called]
    found = match(calls, lacking)
    if found.inside >= MOST * len(calls):
        balanced = _balanced(found, lacking)
        few = len(found.servers)
        if few * 20 < len(calls):
            # A stream or a long poll is always in progress.
            return _ByTime(
                found.of, "possible", f"all of them fall into {few} long requests, where a timer's would too"
            )
        if balanced or found.chance < UNLIKELY:
            return _ByTime(found.of, *_sure(found, balanced))
    elif found.inside >= HALF * len(calls) and found.chance < UNLIKELY:
        return _ByTime(found.of, "likely", f"{found.inside} of {len(calls)} begin while a request is in progress")
    for delay_us in DELAYS_US:
        later = match(calls, lacking, extend_us=delay_us)
        if later.inside >= MOST * len(calls) and later.chance < UNLIKELY and _balanced(later, lacking):
            reason = f"each begins within {delay_us / 1_000_000:g} s after a request, one for one"
            return _ByTime(later.of, "likely", reason, after=True)
    beside = match(calls, servers)
    if joined and beside.inside >= MOST * len(calls) and beside.chance < UNLIKELY:
        return _ByTime(beside.of, "likely", "they begin while a request is in progress that has joined calls besides")
    if found.inside >= MOST * len(calls):
        return _ByTime(found.of, "possible", "a timer's calls would look the same among so many requests")
    return _sampled(calls, servers, found, seen)


def _sure(found: Match, balanced: bool) -> tuple[Confidence, str]:
    calls, requests = len(found.of), len(found.servers)
    text = f"{found.inside} of {calls} begin while a request is in progress that lacks this call"
    if requests >= 3 and balanced:
        return "certain", text
    return "likely", text if balanced else f"{text}; by chance this many would not"


def _balanced(found: Match, lacking: Sequence[Server]) -> bool:
    """Whether most requests of the endpoints concerned get a call: a timer's calls do not grow with the requests."""
    of_path = Counter(server.path for server in lacking)
    matched = found.servers
    got = Counter(server.path for server in matched)
    if len(matched) >= HALF * sum(of_path[path] for path in got):
        return True
    # One version or pod of several may drop them.
    keys: tuple[Callable[[Server], str], ...] = (lambda server: server.revision, lambda server: server.node)
    for key in keys:
        places = {(server.path, key(server)) for server in matched}
        asked = sum((server.path, key(server)) in places for server in lacking)
        if len(matched) >= HALF * asked:
            return True
    return False


def _sampled(calls: list[Call], servers: list[Server], found: Match, seen: Seen) -> _ByTime | None:
    """Below 100 % sampling the call is seen without its request: then only the numbers tell.

    A service that never continues a trace, and starts about as many by itself as it receives, at no clock's beat.
    """
    service = calls[0].service
    joins = any(call.how == "joined" for (name, _), made in seen.calls.items() if name == service for call in made)
    if joins or len(calls) < FEW or len(servers) < FEW or _regular(calls):
        return None
    if not 0.3 <= len(calls) / len(servers) <= 10:
        return None
    reason = (
        f"it received {len(servers)} requests, continued none of their traces, and started {len(calls)} of its own, "
        "as with sampling below 100 %"
    )
    if _sdk_calls(seen, service, calls[0].host):
        reason += "; in the traces of its requests its SDK has these calls, and its sidecar has not"
        return _ByTime(found.of, "certain", reason, unmatched=True)
    if found.chance < DOUBTFUL:
        reason += f"; {found.inside} of them begin while a request is in progress, more than by chance"
        return _ByTime(found.of, "likely", reason, unmatched=True)
    return _ByTime(found.of, "possible", reason + "; a queue's consumer would look the same", unmatched=True)


def _sdk_calls(seen: Seen, service: str, host: str) -> bool:
    """Whether the application itself has spans of calls to that host below which its sidecar has none."""
    app, called = service.partition(".")[0], host.partition(".")[0]
    return any(
        tally.count and name == app and target.partition(".")[0] == called
        for (name, target), tally in seen.sdk_calls.items()
    )


def _regular(calls: Sequence[Call]) -> bool:
    gaps = [later.start_us - earlier.start_us for earlier, later in itertools.pairwise(calls)]
    middle = statistics.median(gaps)
    return statistics.median(abs(gap - middle) for gap in gaps) < REGULAR * middle


@dataclass(frozen=True)
class When:
    """`kind`: `always`, `since` (whole before `at_us`), `until` (whole again since) or `partly`; `what` says which."""

    kind: str
    at_us: int = 0
    what: str = ""
    whole: int = 0


AGAIN = 3
"""Joined calls of each endpoint that are needed to say that a service was mended."""


def when(drop: Drop, seen: Seen) -> When:
    """Which of the calls are without headers: all, those of a time, or those of an endpoint, a version, a pod."""
    if not drop.joined:
        return When("always")
    asked = {id(server): server for server in seen.servers_of(drop.service)}.values()
    good = [server for server in asked if drop.host in server.called]
    bad = [server for server in drop.of if server is not None]
    first, last = drop.calls[0].start_us, drop.calls[-1].start_us
    before = sum(call.start_us < first for call in drop.joined)
    later = [call for call in drop.joined if call.start_us > last]
    between = len(drop.joined) - before - len(later)
    what = _which(bad, good, drop)
    if between <= len(drop.calls) // 20 and len(drop.calls) >= AGAIN:
        healed = Counter((server.path, server.revision) for server in good if server.start_us > last)
        if bad and all(healed[server.path, server.revision] >= AGAIN for server in bad):
            return When("until", last, whole=len(later))
        if before >= AGAIN and not later and not what:
            return When("since", first, whole=before)
    return When("partly", what=what)


def _which(bad: Sequence[Server], good: Sequence[Server], drop: Drop) -> str:
    for name, key in (
        ("requests to", lambda server: server.path),
        ("version", lambda server: server.revision),
        ("pod", lambda server: server.node),
    ):
        theirs = _pure(bad, good, key)
        if theirs:
            return f"{name} {', '.join(sorted(theirs))}"
    return "calls made after the answer" if drop.after else ""


def _pure(bad: Sequence[Server], good: Sequence[Server], key: Callable[[Server], str]) -> list[str]:
    """Values of `key` at which (nearly) all requests lost their headers, if they differ from those that kept them."""
    lost, kept = Counter(map(key, bad)), Counter(map(key, good))
    if "" in lost or "" in kept or not lost or not kept:
        return []
    theirs = [value for value in lost if lost[value] >= PURE * (lost[value] + kept[value])]
    others = sum(count for value, count in lost.items() if value not in theirs)
    return theirs if theirs and others <= (1 - PURE) * len(bad) and len(theirs) < len({*lost, *kept}) else []
