"""How much load: always bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from meshtrail.errors import MeshtrailError

MAX_RATE = 20_000.0
MAX_DURATION_S = 3600.0
MAX_COUNT = 1_000_000
MAX_CONCURRENCY = 256
DEFAULT_RATE = 10.0
DEFAULT_DURATION_S = 10.0
DEFAULT_CONCURRENCY = 64
DEFAULT_CLOSED_CONCURRENCY = 4
DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`rate` in requests per second, None for a closed loop: `concurrency` senders, each as fast as it is answered.

    It ends after `count` requests or `duration_s` seconds, whichever comes first.
    """

    rate: float | None
    duration_s: float
    count: int
    concurrency: int
    timeout_s: float


def plan(
    *,
    rate: float | None = DEFAULT_RATE,
    duration_s: float | None = None,
    count: int | None = None,
    concurrency: int | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Plan:
    """Fill in what is left out and check the bounds. Raises MeshtrailError.

    With neither `duration_s` nor `count` it lasts 10 s; with `count` alone as long as that takes, at most an hour.
    """
    _within("rate", rate, MAX_RATE, "/s")
    _within("duration", duration_s, MAX_DURATION_S, " s")
    _within("count", count, MAX_COUNT, " requests")
    _within("concurrency", concurrency, MAX_CONCURRENCY, " connections")
    _within("timeout", timeout_s, MAX_DURATION_S, " s")
    if duration_s is None:
        duration_s = DEFAULT_DURATION_S if count is None else MAX_DURATION_S
    if concurrency is None:
        concurrency = DEFAULT_CLOSED_CONCURRENCY if rate is None else DEFAULT_CONCURRENCY
    due = MAX_COUNT if rate is None else math.ceil(rate * duration_s)
    return Plan(rate, duration_s, min(count or MAX_COUNT, due, MAX_COUNT), concurrency, timeout_s)


def _within(name: str, value: float | None, most: float, unit: str) -> None:
    if value is None or 0 < value <= most:
        return
    raise MeshtrailError(
        f"{name} {value:g} is out of bounds: load is always bounded, and stands above 0",
        mend=f"at most {most:g}{unit}",
    )
