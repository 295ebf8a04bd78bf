"""What the doctor says: a finding, the rule that it comes from, and what all findings together amount to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from meshtrail.doctor.seen import Seen

Level = Literal["error", "warning", "note"]
Confidence = Literal["certain", "likely", "possible"]

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
CONFIDENCES: tuple[Confidence, ...] = ("certain", "likely", "possible")

MAX_TRACES = 5
"""How many trace ids a finding gives as evidence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or (level note) that is worth knowing.

    `service` and `called` are names as Jaeger shows them (`backend.meshtrail`); `called` is "" where a finding concerns
    one service alone. `count` is how often it was seen, `share` that of the cases in which it could have been (0 to 1).
    `traces` are a few trace ids as evidence. `reason` says why the confidence is what it is.
    """

    rule: str
    level: Level
    service: str
    text: str
    confidence: Confidence
    mend: str
    called: str = ""
    reason: str = ""
    count: int = 0
    share: float = 0.0
    traces: tuple[str, ...] = ()

    @property
    def docs(self) -> str:
        return f"docs/doctor.md#{self.rule}"


@dataclass(frozen=True, slots=True)
class Rule:
    """`looks_at`, `decides`, `mend` and `silent` (what it keeps quiet about) are sentences for docs/doctor.md."""

    id: str
    title: str
    level: Level
    looks_at: str
    decides: str
    mend: str
    silent: str
    look: Callable[[Seen], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Report:
    """Findings, the gravest first, of `traces` traces that are `requests` requests.

    `first_us` and `last_us` are the start of the first and the end of the last span, microseconds since the epoch.
    """

    traces: int
    requests: int
    findings: tuple[Finding, ...]
    services: tuple[str, ...] = ()
    first_us: int = 0
    last_us: int = 0
    unsettled: int = 0
    """Traces so young that spans may be on their way."""

    @property
    def healthy(self) -> bool:
        """Nothing but notes."""
        return all(finding.level == "note" for finding in self.findings)

    def of(self, rule: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.rule == rule)


def evidence(trace_ids: Iterable[str]) -> tuple[str, ...]:
    """The first few different trace ids."""
    found: dict[str, None] = {}
    for trace_id in trace_ids:
        found[trace_id] = None
        if len(found) == MAX_TRACES:
            break
    return tuple(found)
