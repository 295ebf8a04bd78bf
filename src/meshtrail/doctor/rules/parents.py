"""Parents that are missing: a span that was made and never exported, or one that is late or was thrown away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from meshtrail.doctor.finding import Confidence, Finding, evidence
from meshtrail.doctor.seen import Orphan, Seen
from meshtrail.reading.words import count

LOST = 0.05
"""Fewer of a service's traces than this: spans got lost on the way, as they do when a queue is full."""
ENOUGH = 20


@dataclass(frozen=True)
class Gap:
    """Orphans of one kind in one service; `owner` made the missing parent. `why` is "" for a phantom."""

    owner: str
    orphans: tuple[Orphan, ...]
    passing: int
    why: str


def phantom(seen: Seen) -> Iterator[Finding]:
    for gap in gaps(seen):
        if gap.why:
            continue
        first = gap.orphans[0]
        between = all(orphan.between for orphan in gap.orphans)
        if first.kind == "server":
            where = f"the call to {first.service}"
        elif first.by == "application":
            where = "its own spans"
        else:
            where = "the request that it received and its call"
        text = (
            f"the application of {gap.owner} makes spans that never arrive: {count(len(gap.orphans), 'span')} "
            f"{'name' if len(gap.orphans) > 1 else 'names'} a parent that is missing between {where}"
            if between or first.by != "application"
            else f"{gap.owner} has {count(len(gap.orphans), 'span')} whose parent never arrived"
        )
        share = len({orphan.trace for orphan in gap.orphans}) / gap.passing
        confidence: Confidence = "certain" if between and first.by == "sidecar" and len(gap.orphans) >= 3 else "likely"
        reason = (
            "only the application stands between the two, and it changed the parent"
            if between and first.by == "sidecar"
            else "the span before it in the trace is this service's"
        )
        yield Finding(
            "phantom-parent",
            "error",
            gap.owner,
            text,
            confidence,
            f"let {gap.owner} export what it makes (OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT and that the "
            "collector "
            "answers there), or switch its SDK off and copy the headers as they are",
            reason=reason,
            count=len(gap.orphans),
            share=share,
            traces=evidence(orphan.trace for orphan in gap.orphans),
        )


def cut(seen: Seen) -> Iterator[Finding]:
    words = {
        "late": (
            "are so young that spans are on their way",
            "look again in a few seconds",
        ),
        "old": (
            "are the oldest there are and lack their beginning: the store has thrown it away",
            "nothing; give the store more room, or look at a shorter time (--since), if you need them whole",
        ),
        "lost": (
            "lack spans now and then: a queue was full, or a process ended before it sent them",
            "nothing, if it stays this rare; else see the collector's and the exporters' own logs for dropped spans",
        ),
    }
    by_why: dict[str, list[Gap]] = defaultdict(list)
    for gap in gaps(seen):
        if gap.why:
            by_why[gap.why].append(gap)
    for why, found in by_why.items():
        text, mend = words[why]
        traces = {orphan.trace: None for gap in found for orphan in gap.orphans}
        owners = sorted({gap.owner for gap in found})
        number = count(len(traces), "trace")
        yield Finding(
            "trace-cut",
            "note",
            owners[0] if len(owners) == 1 else "",
            f"{number} with a missing parent at {', '.join(owners)} {text}",
            "likely",
            mend,
            reason="it is a matter of age" if why != "lost" else "it is too rare for a fault of the service",
            count=len(traces),
            share=len(traces) / seen.traces,
            traces=evidence(traces),
        )


def gaps(seen: Seen) -> list[Gap]:
    """Orphans grouped by who made the missing parent and where it is missing."""
    groups: dict[tuple[str, str, str, str], list[Orphan]] = defaultdict(list)
    for orphan in seen.orphans:
        owner = orphan.before if orphan.kind == "server" else orphan.service
        groups[owner or orphan.service, orphan.service, orphan.kind, orphan.by].append(orphan)
    found = []
    for (owner, *_), orphans in groups.items():
        settled = [orphan for orphan in orphans if orphan.settled]
        young = [orphan for orphan in orphans if not orphan.settled]
        if young:
            found.append(Gap(owner, tuple(young), len(young), "late"))
        if settled:
            passing = max(len(settled), _passing(seen, owner))
            found.append(Gap(owner, tuple(settled), passing, _why(settled, passing, seen)))
    return found


def _passing(seen: Seen, service: str) -> int:
    """In how many traces the service received a request."""
    return len({server.trace for server in seen.servers_of(service)})


def _why(orphans: Sequence[Orphan], passing: int, seen: Seen) -> str:
    traces = len({orphan.trace for orphan in orphans})
    if seen.are_oldest(orphan.start_us for orphan in orphans):
        return "old"
    if passing >= ENOUGH and traces < LOST * passing:
        return "lost"
    return ""
