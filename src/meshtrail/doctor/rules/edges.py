"""The edges of the mesh: requests that come in past the gateway, and calls whose other end no proxy sees."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from meshtrail.doctor.finding import Confidence, Finding, Level, evidence
from meshtrail.doctor.noise import is_health_path, is_prober
from meshtrail.doctor.rules.decisions import asked_in_mesh
from meshtrail.doctor.seen import Call, Entry, Seen
from meshtrail.reading.words import count

AT_LEAST = 2


def gateway_missing(seen: Seen) -> Iterator[Finding]:
    """Only where Istio's node ids tell a gateway from a sidecar."""
    past: dict[str, list[Entry]] = defaultdict(list)
    through: dict[str, list[Entry]] = defaultdict(list)
    split = {one.received for one in seen.splits}
    hosts = {entry.authority for entry in seen.entries if entry.by == "gateway"}
    for entry in seen.entries:
        if entry.trace in split or not entry.istio or is_health_path(entry.path) or is_prober(entry.agent):
            continue
        if entry.by == "gateway":
            through[entry.service].append(entry)
        elif not entry.outside and (entry.authority in hosts or _from_outside(entry, seen)):
            past[entry.service].append(entry)
    for service, entries in past.items():
        others = len(through[service])
        known = sum(entry.authority in hosts for entry in entries)
        what = (
            f"{count(len(entries), 'request')} of {len(entries) + others}" if others else count(len(entries), "request")
        )
        confidence: Confidence = "likely" if known or not hosts else "possible"
        level: Level = "note" if confidence == "possible" else "warning"
        yield Finding(
            "gateway-missing",
            level,
            service,
            f"{what} to {service} from outside (host {_most(entry.authority for entry in entries)}) begin at its "
            "sidecar: the "
            "gateway in front made no span",
            confidence,
            "let a Telemetry in the gateway's namespace (or in istio-system, for the whole mesh) name the tracing "
            "provider, "
            "then restart the gateway's pods",
            reason="the host is one by which the gateway is asked"
            if known
            else "the host is no name of the mesh; a client in the cluster that sends such a Host looks alike",
            count=len(entries),
            share=len(entries) / (len(entries) + others),
            traces=evidence(entry.trace for entry in entries),
        )


def _from_outside(entry: Entry, seen: Seen) -> bool:
    """Whether the host that was asked for is none by which services of the mesh call each other."""
    host = entry.authority.rpartition(":")[0] or entry.authority
    if not host or host == "localhost" or host.startswith("127."):
        return False
    app, _, namespace = entry.service.partition(".")
    names = {app, entry.service, host.partition(".")[0]} if namespace in host.split(".") else {app, entry.service}
    if host in names or host in seen.addresses or host.endswith((".svc", ".cluster.local")):
        return False
    return "." in host and not any(host.startswith(f"{name}.") for name in names)


def _most(values: Iterator[str]) -> str:
    return Counter(values).most_common(1)[0][0]


def outside_mesh(seen: Seen) -> Iterator[Finding]:
    named: set[str] = set()
    for service, called, tally in ((*key, tally) for key, tally in seen.tcp_hops.items()):
        named.add(called)
        yield Finding(
            "outside-mesh",
            "warning",
            service,
            f"no proxy saw the way from {service} to {called}: the headers arrived there ({called}'s own "
            f"{count(tally.count, 'call')} hang below the request of {service}), the call and its SERVER span are "
            "missing",
            "certain",
            f"name the port of {called}'s Service http-... or set appProtocol: http; a port that is named otherwise "
            "is TCP to "
            "the mesh",
            called=called,
            reason="a span of the one has its parent in the other",
            count=tally.count,
            share=tally.count / max(tally.count, len(seen.servers_of(service))),
            traces=evidence(tally.traces),
        )
    by_host: dict[str, list[Call]] = defaultdict(list)
    for call in seen.all_calls():
        if asked_in_mesh(call):
            by_host[call.host].append(call)
    for host, calls in by_host.items():
        yield from _silent(seen, host, calls, named)
    yield from _unseen(seen)


def _silent(seen: Seen, host: str, calls: list[Call], named: set[str]) -> Iterator[Finding]:
    for subset in sorted({call.subset for call in calls}):
        asked = [call for call in calls if call.subset == subset]
        silent = [call for call in asked if not call.reached]
        # What reports elsewhere has a sidecar: its proxy read the headers of these calls as another trace's, or none.
        if len(silent) < len(asked) or host in named or (not subset and host in seen.servers):
            continue
        callers = sorted({call.service for call in asked})
        version = f" version {subset}" if subset and any(call.reached for call in calls) else ""
        sdk = next((call.by_sdk for call in asked if call.by_sdk), "")
        beyond = sorted({call.beyond for call in asked} - {""})
        if host == "PassthroughCluster" or not asked[0].in_cluster:
            if host != "PassthroughCluster" or sdk:
                continue
            level: Level = "note"
            text = (
                f"calls of {', '.join(callers)} go to hosts that the mesh does not know (PassthroughCluster): "
                "traces end there"
            )
            mend = "a ServiceEntry names such a host, and calls to it get their own name in the trace"
        else:
            level = "note" if sdk else "warning"
            text = (
                f"no sidecar reports from {host}{version}: {count(len(asked), 'call')} of {', '.join(callers)} were "
                "answered, "
                "and no SERVER span is there"
            )
            if beyond:
                text += f"; it hands the headers on, {', '.join(beyond)} below it is in the trace"
            elif sdk:
                text += f" but {sdk}'s own: the trace is whole without it"
            mend = (
                f"label the namespace or the pods of {host.partition('.')[0]}{version} for injection "
                "(istio-injection=enabled, sidecar.istio.io/inject) and restart them; if they have a sidecar, see "
                "that no "
                "Telemetry switches its reporting off (disableSpanReporting)"
            )
        yield Finding(
            "outside-mesh",
            level,
            host,
            text,
            "certain" if len(asked) >= 3 else "likely",
            mend,
            reason="it never reports, whoever calls it",
            count=len(asked),
            share=1.0,
            traces=evidence(call.trace for call in asked),
        )


def _unseen(seen: Seen) -> Iterator[Finding]:
    """HTTP calls that only the application saw although it has a sidecar: the port is TCP to the mesh."""
    sidecars = {call.service.partition(".")[0]: call.service for call in seen.all_calls() if call.how != "gateway"}
    for name, servers in seen.servers.items():
        if servers[0].by == "sidecar":
            sidecars.setdefault(name.partition(".")[0], name)
    for (app, host), tally in seen.sdk_calls.items():
        service = sidecars.get(app)
        if service is None or not tally.count or tally.count < tally.total:
            continue
        first = host.partition(".")[0]
        proxied = any(
            name == service and first in (target.partition(".")[0], reached.partition(".")[0])
            for (name, target), calls in seen.calls.items()
            for reached in {call.reached for call in calls}
        )
        internal = "." not in host or host.endswith((".svc", ".cluster.local")) or host in seen.names
        if proxied or not internal or host in ("localhost", "") or host.replace(".", "").isdigit():
            continue
        if (service, f"{first}.{service.partition('.')[2]}") in seen.tcp_hops:
            continue
        yield Finding(
            "outside-mesh",
            "warning",
            service,
            f"the sidecar of {service} did not see its calls to {host}: {count(tally.count, 'call')} are in the trace "
            "as the "
            "application's own spans alone",
            "likely",
            f"name the port of {host}'s Service http-... or set appProtocol: http; a port that is named otherwise is "
            "TCP to "
            "the mesh",
            called=host,
            reason="the application has the spans and got answers, the sidecar has none",
            count=tally.count,
            share=tally.share,
            traces=evidence(tally.traces),
        )
