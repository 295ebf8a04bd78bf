"""The propagation switch: what a service forwards, changeable while requests flow.

`all` forwards every tracing header, `b3` and `w3c` keep x-request-id and only their own format, `none` drops every
tracing header. It exists so that a trace can be broken, and healed, on purpose.
"""

from __future__ import annotations

MODES = ("all", "b3", "w3c", "none")


class Switch:
    """Holds the mode. Reading and replacing one attribute is atomic, so requests need no lock."""

    __slots__ = ("_mode",)

    def __init__(self, mode: str = "all") -> None:
        self._mode = "all"
        self.mode = mode

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        """Set the mode for the next request; ValueError when it is not one of MODES."""
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}, allowed: {', '.join(MODES)}")
        self._mode = mode
