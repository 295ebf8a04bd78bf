"""A running mesh seen through the doctor, stretch by stretch: what was switched, and what must be found in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from meshtrail.doctor.examine import examine
from meshtrail.load.plan import plan
from meshtrail.load.run import run_load
from meshtrail.load.target import Target, resolve
from meshtrail.model.trace import Trace
from meshtrail.reading.access import Access
from meshtrail.reading.sources import from_jaeger

CONNECTIONS = 8

Named = tuple[str, str, str]
"""Rule, service, called: what a finding says, without its numbers."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Requests from `start_us` to `end_us`; `expected` are the findings in them, no more and no fewer."""

    what: str
    start_us: int
    end_us: int
    requests: int
    expected: frozenset[Named]


@dataclass
class Run:
    """Stretches of one mesh, one after the other; looked at together when all is sent."""

    target: Target | str
    margin_us: int = 0
    """How far the clocks that write spans may be from this one."""
    stretches: list[Stretch] = field(default_factory=list)

    def send(self, what: str, expected: Iterable[Named] = (), *, count: int = 100) -> None:
        """`count` requests over eight connections, each as fast as it is answered. All must succeed."""
        target = resolve(self.target) if isinstance(self.target, str) else self.target
        start_us = now_us()
        report = asyncio.run(run_load(target, plan(rate=None, count=count, concurrency=CONNECTIONS, duration_s=120)))
        assert report.statuses == {200: count}, (what, report.statuses, report.errors)
        self.stretches.append(Stretch(what, start_us, now_us(), count, frozenset(expected)))

    @property
    def start_us(self) -> int:
        return self.stretches[0].start_us - self.margin_us

    def wrong(self, traces: Iterable[Trace]) -> list[str]:
        """A line for each stretch in which the doctor says something else than what is the case."""
        known = list(traces)
        found = []
        for stretch in self.stretches:
            begin, end = stretch.start_us - self.margin_us, stretch.end_us + self.margin_us
            mine = [trace for trace in known if begin <= trace.start_us <= end]
            report = examine(mine)
            got = {(one.rule, one.service, one.called) for one in report.findings if one.level != "note"}
            if got != stretch.expected or report.requests < stretch.requests:
                missed, false = sorted(stretch.expected - got), sorted(got - stretch.expected)
                notes = [one.text for one in report.findings if one.level == "note"]
                found.append(
                    f"{stretch.what}: missed {missed}, false {false}, {report.requests} of {stretch.requests} requests "
                    f"in {report.traces} traces; notes {notes}"
                )
        return found


def read(jaeger: str, *, since_us: int, service: str | None = None) -> list[Trace]:
    return list(from_jaeger(Access.of(jaeger)).traces(service=service, since_us=since_us, limit=50_000))


def now_us() -> int:
    return time.time_ns() // 1000
