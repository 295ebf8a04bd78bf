"""The faults that SERVICE_VERSION builds in: what a mesh can show only of a service that misbehaves.

    v-faulty        half of the answers are 503
    v-delayed       half of the answers come after 7 seconds
    v-unavailable   good for a minute, 503 for a minute, and so on
    v-unhealthy     the same by 15 minutes, and /health is 500 while it lasts: a liveness probe there restarts it

Probes are spared but for that one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from meshtrail_common.errors import ServiceError

VERSIONS = ("v-faulty", "v-delayed", "v-unavailable", "v-unhealthy")
DELAY = 7.0  # seconds: longer than productpage waits, shorter than reviews v2 does
PERIODS = {"v-unavailable": 60.0, "v-unhealthy": 15 * 60.0}  # seconds


_started = time.monotonic()


def _toss() -> bool:
    return random.random() < 0.5  # noqa: S311


def _since_start() -> float:
    return time.monotonic() - _started


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with `version`. Chance and time come from outside: `toss` is true for half of the answers,
    `clock` and `sleep` count in seconds, `clock` from zero at the start.
    """

    version: str
    toss: Callable[[], bool] = _toss
    clock: Callable[[], float] = _since_start
    sleep: Callable[[float], None] = time.sleep

    def apply(self) -> None:
        """Delay this answer, or refuse it: ServiceError 503."""
        if self.version == "v-delayed" and self.toss():
            self.sleep(DELAY)
        if self._down() or (self.version == "v-faulty" and self.toss()):
            raise ServiceError(503, "service unavailable")

    def healthy(self) -> bool:
        return not (self.version == "v-unhealthy" and self._down())

    def _down(self) -> bool:
        period = PERIODS.get(self.version)
        return period is not None and int(self.clock() / period) % 2 == 1
