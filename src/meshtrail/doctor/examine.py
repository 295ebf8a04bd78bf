"""Examines traces: reads them once, then asks every rule."""

from __future__ import annotations

from collections.abc import Iterable

from meshtrail.doctor.drops import drops
from meshtrail.doctor.finding import CONFIDENCES, LEVELS, Finding, Report
from meshtrail.doctor.observe import observe
from meshtrail.doctor.rules import RULES
from meshtrail.doctor.rules.headers import deaf
from meshtrail.doctor.seen import Seen
from meshtrail.doctor.splits import splits
from meshtrail.model.trace import Trace

SETTLE_US = 6_000_000
"""A sidecar on a cluster keeps spans for up to 5 s."""


def examine(traces: Iterable[Trace], *, now_us: int | None = None, settle_us: int = SETTLE_US) -> Report:
    """What is wrong with `traces`; they are taken one by one and not kept.

    `now_us` is the time on the clock of those who made the spans (microseconds since the epoch): from a trace that
    ended less than `settle_us` before it, spans may be missing without anything being wrong. None: they are not live.
    """
    seen = observe(traces, now_us=now_us, settle_us=settle_us)
    seen.splits = splits(seen)
    seen.drops = drops(seen)
    found = [finding for rule in RULES for finding in rule.look(seen)]
    return Report(
        traces=seen.traces,
        requests=_requests(seen),
        findings=tuple(sorted(found, key=_rank)),
        services=tuple(sorted(seen.names)),
        first_us=seen.first_us,
        last_us=seen.last_us,
        unsettled=seen.unsettled,
    )


def _rank(finding: Finding) -> tuple[int, int, int, str, str]:
    ids = [rule.id for rule in RULES]
    return (
        LEVELS.index(finding.level),
        CONFIDENCES.index(finding.confidence),
        ids.index(finding.rule),
        finding.service,
        finding.called,
    )


def _requests(seen: Seen) -> int:
    """Traces, less those that go on with a request of another one."""
    pieces = {call.trace for drop in seen.drops if drop.confidence != "possible" for call in drop.calls}
    pieces |= {split.received for split in seen.splits}
    pieces |= {root.trace for root, server in deaf(seen) if server is not None}
    return seen.traces - len(pieces)
