"""One request through the mesh: its trace, or the pieces into which its trace broke."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from meshtrail.model.breaks import Break, broken_links
from meshtrail.model.trace import Trace


@dataclass(frozen=True)
class Request:
    """`traces` in order: the one that has no cause first (the gateway's), then the pieces by start.

    `breaks` holds every break that touches one of the traces; a break that is not certain may lead to a trace that is
    not in here, because it could as well belong to another request.
    """

    traces: tuple[Trace, ...]
    breaks: tuple[Break, ...] = ()

    @property
    def complete(self) -> bool:
        """One trace, whole, and no sign that it goes on in another one."""
        return len(self.traces) == 1 and self.traces[0].complete and not self.breaks

    @property
    def explained(self) -> bool:
        """Nothing is left open: each trace is whole, and all but the first begin at a break that is certain."""
        whole = all(trace.complete for trace in self.traces)
        certain = all(broken.certain for broken in self.breaks)
        return whole and certain and len(self.breaks) == len(self.traces) - 1

    @property
    def start_us(self) -> int:
        return min(trace.start_us for trace in self.traces)

    @property
    def duration_us(self) -> int:
        return max(trace.end_us for trace in self.traces) - self.start_us

    @cached_property
    def services(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for trace in self.traces for name in trace.services))

    @property
    def span_count(self) -> int:
        return sum(len(trace.spans) for trace in self.traces)

    @property
    def summary(self) -> str:
        """`one trace, complete`, or in how many pieces it broke and at which services."""
        if self.complete:
            return "one trace, complete"
        dropped = ", ".join(dict.fromkeys(broken.service for broken in self.breaks))
        pieces = sum(len(trace.tops) for trace in self.traces)
        if pieces > 1:
            return f"broken in {pieces} pieces" + (f" at {dropped}" if dropped else "")
        if dropped:
            return f"broken at {dropped}; ambiguous which second trace belongs to it"
        return "one piece; its top span names a parent that was never exported"


def group_requests(traces: Iterable[Trace]) -> tuple[Request, ...]:
    """Put the pieces of each request together, in order of start.

    Pieces are joined where a break is certain; under concurrent requests a piece that could belong to several stays by
    itself.
    """
    known = {trace.trace_id: trace for trace in traces}
    breaks = broken_links(known.values())
    leader = {trace_id: trace_id for trace_id in known}

    def lead(trace_id: str) -> str:
        while leader[trace_id] != trace_id:
            leader[trace_id] = leader[leader[trace_id]]
            trace_id = leader[trace_id]
        return trace_id

    for broken in breaks:
        if broken.certain and broken.started.trace_id in known and broken.received[0].trace_id in known:
            leader[lead(broken.started.trace_id)] = lead(broken.received[0].trace_id)

    members: dict[str, list[Trace]] = {}
    for trace in known.values():
        members.setdefault(lead(trace.trace_id), []).append(trace)
    touching: dict[str, list[Break]] = {}
    for broken in breaks:
        ids = {span.trace_id for span in (broken.started, *broken.received)}
        for head in {lead(trace_id) for trace_id in ids if trace_id in known}:
            touching.setdefault(head, []).append(broken)
    return tuple(
        sorted(
            (_request(head, group, touching.get(head, ())) for head, group in members.items()),
            key=lambda request: request.start_us,
        )
    )


def telling(requests: Sequence[Request]) -> Request | None:
    """The first with nothing left open, else the first: where requests overlap, a piece could belong to several."""
    return next((request for request in requests if request.explained), requests[0] if requests else None)


def _request(head: str, traces: list[Trace], breaks: Sequence[Break]) -> Request:
    first = {trace.trace_id: rank for rank, trace in enumerate(sorted(traces, key=lambda trace: trace.start_us))}
    ordered = sorted(traces, key=lambda trace: (trace.trace_id != head, first[trace.trace_id]))
    return Request(tuple(ordered), tuple(breaks))
