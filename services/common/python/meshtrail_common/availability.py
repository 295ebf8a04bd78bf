"""Telling once that a store went down, and once that it is back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger("store")


class Availability:
    """Watches the uses of one store; `system` is its name in the log."""

    def __init__(self, system: str) -> None:
        self.system = system
        self._up: bool | None = None

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Log a change of state; what the block raises passes through."""
        try:
            yield
        except Exception as error:
            if self._up is not False:
                _log.error("store %s is down: %s", self.system, " ".join(str(error).split()))
            self._up = False
            raise
        if self._up is False:
            _log.info("store %s is back", self.system)
        self._up = True
