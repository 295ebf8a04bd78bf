"""What is kept of the traces that were looked at: small records by service, not the spans.

Names of services are as in Jaeger. Times are microseconds since the epoch. A record's `trace` is the id of its trace.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from meshtrail.model.span import Kind

if TYPE_CHECKING:
    from meshtrail.doctor.drops import Drop
    from meshtrail.doctor.splits import Split

How = Literal["root", "joined", "orphan", "gateway"]
By = Literal["gateway", "sidecar", "application"]

OLDEST = 0.1
"""The share of the traces that counts as the oldest, if there are ENOUGH to say so."""
ENOUGH = 20


@dataclass(slots=True)
class Server:
    """A request as the service that received it saw it: its sidecar's SERVER span, its own where there is no sidecar.

    `called` are the hosts of the calls that are joined to it; `own`: the application has spans of its own there.
    """

    trace: str
    service: str
    by: By
    node: str
    revision: str
    request_id: str | None
    path: str
    start_us: int
    end_us: int
    ok: bool = True
    own: bool = False
    called: tuple[str, ...] = ()


@dataclass(slots=True)
class Call:
    """A proxy's CLIENT span. `host` and `subset` say where it went, `in_cluster` that Istio knows it as a Service.

    `how`: a root (it found no tracing headers), joined to a span of its trace, an orphan (its parent is missing), or
    the router span of a gateway. `answered`: something behind the proxy answered. `reached` is the service that
    reported the other end, `beyond` one that reported instead of it, `by_sdk` one whose SDK did so alone.
    """

    trace: str
    service: str
    host: str
    subset: str
    in_cluster: bool
    node: str
    revision: str
    request_id: str | None
    path: str
    start_us: int
    end_us: int
    how: How
    answered: bool
    settled: bool
    reached: str = ""
    beyond: str = ""
    by_sdk: str = ""
    speaks: str = ""


@dataclass(slots=True)
class Entry:
    """How a trace begins: with a request at a gateway, at a sidecar, or at an application.

    `service` is the first service behind the gateway, the gateway's own when there is none.
    """

    trace: str
    by: By
    service: str
    first: str
    """The service of the span itself: the gateway's own."""
    request_id: str | None
    outside: bool
    """Its parent is not in the trace: the client has a trace of its own."""
    authority: str
    path: str
    agent: str
    istio: bool
    speaks: str


@dataclass(slots=True)
class Orphan:
    """A span whose parent is missing though it is not where the trace begins.

    `between`: the service's own SERVER span is in the trace, so the missing span lies between the two. `before` is the
    service that was at work when the orphan began, "" when that is not known.
    """

    trace: str
    service: str
    kind: Kind
    by: By
    start_us: int
    between: bool
    before: str
    settled: bool


@dataclass(slots=True)
class Pair:
    """A CLIENT and the SERVER below it, of two services: how much the inner one leads at both ends, microseconds."""

    trace: str
    start_lag_us: int
    end_lag_us: int
    after_us: int
    whole: bool
    """Both ended as one expects, so the inner one cannot have gone on after the outer one."""


@dataclass(slots=True)
class Identity:
    """What one service name was seen with, each with a trace and its first and last time."""

    values: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    def see(self, value: str, trace: str, start_us: int) -> None:
        known = self.values.get(value)
        if known is None:
            self.values[value] = (trace, start_us, start_us)
        elif start_us < known[1] or start_us > known[2]:
            self.values[value] = (known[0], min(known[1], start_us), max(known[2], start_us))


@dataclass(slots=True)
class Tally:
    """How often something was seen among `total`, and in which traces (the first few)."""

    count: int = 0
    total: int = 0
    traces: list[str] = field(default_factory=list)
    detail: Counter[str] = field(default_factory=Counter)

    def add(self, trace: str, detail: str = "") -> None:
        self.count += 1
        if len(self.traces) < 8:
            self.traces.append(trace)
        if detail:
            self.detail[detail] += 1

    @property
    def share(self) -> float:
        return self.count / self.total if self.total else 0.0


@dataclass(slots=True)
class Seen:
    """Everything that the rules look at."""

    traces: int = 0
    first_us: int = 0
    last_us: int = 0
    starts: list[int] = field(default_factory=list)
    """Of the traces, in order."""
    names: dict[str, None] = field(default_factory=dict)
    servers: dict[str, list[Server]] = field(default_factory=dict)
    calls: dict[tuple[str, str], list[Call]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    orphans: list[Orphan] = field(default_factory=list)
    sdk_roots: dict[str, list[Server]] = field(default_factory=dict)
    """SERVER spans without a parent that an application made, by its app."""
    sdk_calls: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    """Calls of an application behind a sidecar, (its app, host): those that no proxy saw, of all."""
    tcp_hops: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    """(from, to): headers arrived, and no proxy has a span of the way between."""
    changed_ids: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    """(service, host): calls joined to a request by the trace and not by x-request-id."""
    changed_between: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    """(caller, called service): x-request-id differs between the two ends of a call."""
    doubled: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    """(service, `SERVER` or `CLIENT`): spans of an SDK that stand in another one alike."""
    pairs: dict[tuple[str, str, str, str], list[Pair]] = field(default_factory=dict)
    """(calling service, its pod, called service, its pod)."""
    languages: dict[str, Identity] = field(default_factory=lambda: defaultdict(Identity))
    namespaces: dict[str, Identity] = field(default_factory=lambda: defaultdict(Identity))
    workloads: dict[str, Identity] = field(default_factory=lambda: defaultdict(Identity))
    to_itself: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    addresses: dict[str, str] = field(default_factory=dict)
    """Address of a pod -> its service."""
    speaks: dict[str, str] = field(default_factory=dict)
    """Service -> what the tracer of its proxy speaks, `W3C` or `B3`."""
    splits: tuple[Split, ...] = ()
    """Requests that the proxies themselves split, found once for all rules."""
    drops: tuple[Drop, ...] = ()
    """Calls without the headers of their request, found once for all rules."""
    unsettled: int = 0
    """Traces so young that spans may be on their way."""

    def are_oldest(self, times_us: Iterable[int]) -> bool:
        """Whether all of them are among the oldest traces, where a store that is full throws spans away."""
        if len(self.starts) < ENOUGH:
            return False
        return max(times_us) <= self.starts[int(len(self.starts) * OLDEST)]

    def servers_of(self, service: str) -> list[Server]:
        """Requests of a service; where its sidecar has no SERVER span those that its SDK made, under its own name."""
        return self.servers.get(service) or self.servers.get(service.partition(".")[0]) or []

    def name_of(self, service: str, host: str) -> str:
        """The service that answers at `host`, as it calls itself; `host` when no one ever reported from there."""
        names = Counter(call.reached or call.by_sdk for call in self.calls.get((service, host), ()))
        for name, _ in names.most_common():
            if name:
                return name
        return host

    def all_calls(self) -> Iterator[Call]:
        for calls in self.calls.values():
            yield from calls
