"""What makes traces hard to read: noise, doubles, clocks that disagree, names that collide."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator

from meshtrail.doctor.finding import Finding, Level, evidence
from meshtrail.doctor.noise import is_health_path, is_prober
from meshtrail.doctor.seen import Entry, Identity, Pair, Seen
from meshtrail.reading.words import count, milliseconds

SKEW_US = 2_000
"""Below this it may be rounding, or the time that a proxy takes to note the end."""
MANY = 3
"""From so many pairs of spans on a median means something."""
CLEAR_US = 20_000
HALF = 0.5
FILTER = (
    "leave them out with an EnvoyFilter that sets tracing to 0 on their route (istio/mesh/health-checks.yaml shows "
    "one); "
    "removing headers with a VirtualService does nothing"
)
KUBELET = (
    "let Istio lead the kubelet's probes past the sidecar, as it does by itself: take away the annotation "
    'sidecar.istio.io/rewriteAppHTTPProbers: "false"; a probe that a sidecar does not see makes no span'
)


def health_checks(seen: Seen) -> Iterator[Finding]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in seen.entries:
        if is_health_path(entry.path) or is_prober(entry.agent):
            found[entry.service].append(entry)
    for service, entries in found.items():
        paths = sorted({entry.path for entry in entries})
        agents = sorted({entry.agent for entry in entries if is_prober(entry.agent)})
        kubelet = any(agent.startswith("kube-probe") for agent in agents)
        asked = ", ".join(paths[:3]) + (f" asked by {', '.join(agents[:2])}" if agents else "")
        yield Finding(
            "health-checks-traced",
            "warning",
            service,
            f"health checks of {service} are traced: {count(len(entries), 'trace')} of {seen.traces} ({asked})",
            "certain",
            KUBELET if kubelet else FILTER,
            reason="the trace begins with such a request",
            count=len(entries),
            share=len(entries) / seen.traces,
            traces=evidence(entry.trace for entry in entries),
        )


def instrumented_twice(seen: Seen) -> Iterator[Finding]:
    for (service, kind), tally in seen.doubled.items():
        total = max(tally.total - tally.count, 1)
        if not tally.count or tally.count < HALF * total:
            continue
        scopes = tally.detail.most_common(1)[0][0] if tally.detail else ""
        what = "each request" if kind == "SERVER" else "each call"
        yield Finding(
            "instrumented-twice",
            "warning",
            service,
            f"{service} notes {what} twice: {count(tally.count, f'{kind} span')} stand in another one alike"
            + (f" ({scopes})" if scopes else ""),
            "certain" if tally.count >= MANY else "likely",
            f"keep one instrumentation of {service}: a framework's own or a library's, an agent or code, not both",
            reason="same service, kind, method and address, and nearly the same time",
            count=tally.count,
            share=min(1.0, tally.count / total),
            traces=evidence(tally.traces),
        )


def clock_skew(seen: Seen) -> Iterator[Finding]:
    found: dict[tuple[str, str], tuple[float, str, str, list[Pair]]] = {}
    for (service, ours, called, theirs), pairs in seen.pairs.items():
        amount = _skew(pairs)
        if amount and abs(amount) > abs(found.get((service, called), (0.0,))[0]):
            found[service, called] = (amount, ours, theirs, pairs)
    agreeing = Counter(name for key in seen.pairs if (key[0], key[2]) not in found for name in (key[0], key[2]))
    while found:
        # A clock that is wrong disagrees with callers and called ones alike: that is one finding, not one for each.
        disagreeing = Counter(service for pair in found for service in pair)
        called_too = {called for _, called in found}
        wrong = max(disagreeing, key=lambda one: (disagreeing[one], -agreeing[one], one in called_too))
        mine = {pair: case for pair, case in found.items() if wrong in pair}
        found = {pair: case for pair, case in found.items() if pair not in mine}
        others = sorted({service for pair in mine for service in pair} - {wrong})
        pair, (amount, ours, theirs, pairs) = max(mine.items(), key=lambda item: len(item[1][3]))
        if pair[0] == wrong:
            ours, theirs, amount = theirs, ours, -amount
        which = "behind" if amount < 0 else "ahead of"
        pods = f" (pods {theirs} and {ours})" if ours and theirs else ""
        yield Finding(
            "clock-skew",
            "warning",
            wrong,
            f"the clock of {wrong} is at least {milliseconds(int(abs(amount)))} ms {which} that of "
            f"{', '.join(others)}{pods}: "
            "SERVER spans lie outside the CLIENT spans that caused them",
            "certain" if len(pairs) >= MANY else "likely",
            "synchronise the clocks of the nodes (chrony, systemd-timesyncd; on a laptop restart the virtual machine "
            "after "
            "it slept)",
            reason=f"median of {count(len(pairs), 'call')}; a request cannot arrive before it was sent, nor last "
            "longer than its call",
            count=len(pairs),
            share=1.0,
            traces=evidence(one.trace for one in pairs),
        )


def _skew(pairs: list[Pair]) -> float:
    """Microseconds by which the called service's clock is ahead (negative: behind), at least; 0: it may be right."""
    early = statistics.median(pair.start_lag_us for pair in pairs)
    if early < -SKEW_US and (len(pairs) >= MANY or early < -CLEAR_US):
        return early
    late = [float(pair.end_lag_us if pair.whole else pair.after_us) for pair in pairs]
    ahead = statistics.median(late)
    return ahead if ahead > SKEW_US and (len(pairs) >= MANY or ahead > CLEAR_US) else 0.0


def name_collision(seen: Seen) -> Iterator[Finding]:
    kinds = (
        ("languages", seen.languages, "OTEL_SERVICE_NAME"),
        ("namespaces", seen.namespaces, "the service name, so that it holds the namespace (APP_LABEL_AND_NAMESPACE)"),
        ("workloads", seen.workloads, "the app label or OTEL_SERVICE_NAME"),
    )
    told: set[str] = set()
    for what, identities, where in kinds:
        for service, identity in identities.items():
            values = _together(identity)
            if len(values) < 2 or service in told:
                continue
            told.add(service)
            yield Finding(
                "name-collision",
                "warning",
                service,
                f"several services report as {service}: it has {len(values)} {what}, {', '.join(sorted(values))}",
                "certain" if what != "languages" else "likely",
                f"give each a name of its own: set {where}",
                reason="they report at the same time",
                count=len(values),
                share=1.0,
                traces=evidence(identity.values[value][0] for value in values),
            )
    for service, tally in seen.to_itself.items():
        if service in told:
            continue
        hosts = ", ".join(sorted(tally.detail)[:3])
        level: Level = "warning"
        yield Finding(
            "name-collision",
            level,
            service,
            f"{service} calls itself in another pod under another host name ({hosts}): {count(tally.count, 'call')}; "
            "two "
            "services seem to share the name",
            "likely",
            "give each a name of its own: set the app label or OTEL_SERVICE_NAME",
            reason="a service that is reached by two host names and calls itself looks alike",
            count=tally.count,
            share=tally.count / max(tally.count, len(seen.servers_of(service))),
            traces=evidence(tally.traces),
        )


def _together(identity: Identity) -> list[str]:
    """Values that were seen at overlapping times: one that replaces another one is a release, not a collision."""
    spans = sorted((first, last, value) for value, (_, first, last) in identity.values.items())
    together: dict[str, None] = {}
    until, holder = -1, ""
    for first, last, value in spans:
        if holder and first <= until:
            together[holder] = together[value] = None
        if last > until:
            until, holder = last, value
    return list(together)
