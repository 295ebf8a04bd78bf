"""What came of a load: counts and latencies."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadReport:
    """`latencies_ms` holds every answered request, sorted, in milliseconds.

    At a fixed rate a latency counts from the moment the request was due, not from when a free connection was found for
    it: a server that stalls delays all that were due meanwhile, and the percentiles must show that.
    `errors` counts requests by kind: `HTTP 503`, `connection refused`, `timed out`, ... `retried` counts requests that
    were sent again because the server had just closed the idle connection; they are no errors.
    """

    url: str
    rate: float | None
    duration_s: float
    sent: int
    statuses: Mapping[int, int]
    errors: Mapping[str, int]
    retried: int
    connections: int
    interrupted: bool
    latencies_ms: array[float] = field(repr=False)

    @property
    def answered(self) -> int:
        return len(self.latencies_ms)

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def ok(self) -> bool:
        """Something was sent, and nothing failed."""
        return self.sent > 0 and not self.errors

    @property
    def achieved_rate(self) -> float:
        """Answers per second."""
        return self.answered / self.duration_s if self.duration_s > 0 else 0.0

    def percentile(self, percent: float) -> float | None:
        """Nearest-rank percentile in milliseconds; None without answers."""
        if not self.latencies_ms:
            return None
        rank = math.ceil(percent / 100 * len(self.latencies_ms))
        return self.latencies_ms[max(0, rank - 1)]

    def as_json(self) -> dict[str, Any]:
        """The stable shape of `meshtrail load --json`."""
        return {
            "url": self.url,
            "rate": self.rate,
            "duration_s": round(self.duration_s, 3),
            "achieved_rate": round(self.achieved_rate, 2),
            "sent": self.sent,
            "answered": self.answered,
            "failed": self.failed,
            "retried": self.retried,
            "connections": self.connections,
            "interrupted": self.interrupted,
            "statuses": {str(status): number for status, number in sorted(self.statuses.items())},
            "errors": dict(sorted(self.errors.items())),
            "latency_ms": {
                name: None if (value := self.percentile(percent)) is None else round(value, 3)
                for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
            },
        }
