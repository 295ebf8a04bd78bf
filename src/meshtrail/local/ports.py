"""Ports on the loopback: chosen, checked and kept for the life of a mesh.

On Linux a chosen port stays bound by a socket that never listens. As its flag SO_REUSEADDR is set after the bind, the
process it is meant for (which sets the flag as well) can listen there, while nobody else is given the port: neither
as a free port nor as the local end of an outgoing connection. So a process that restarts finds its port free.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from meshtrail.errors import MeshtrailError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class FixedPort:
    """A port with a well-known number: the option that moves it and what it is for."""

    option: str
    purpose: str
    port: int


class BusyPortsError(MeshtrailError):
    """One or more of the wanted ports are taken by another process; names each of them."""

    def __init__(self, busy: list[FixedPort]) -> None:
        named = ", ".join(f"{port.port} ({port.purpose}, {port.option})" for port in busy)
        options = " ".join(f"{port.option} N" for port in busy)
        super().__init__(
            f"port{'s' if len(busy) > 1 else ''} on {LOOPBACK} already in use: {named}",
            mend=f"choose others with `{options}`, or let meshtrail choose all: `--ports auto`",
        )


class Ports:
    """The ports of one mesh. Not thread-safe; `close` gives all of them back."""

    def __init__(self, *, hold: bool = sys.platform == "linux") -> None:
        self._hold = hold
        self._held: dict[int, socket.socket] = {}

    def claim(self, wanted: Mapping[str, FixedPort]) -> dict[str, int]:
        """Take fixed ports, all or none. Raises BusyPortsError that names every one that is busy or asked for twice."""
        taken: dict[int, socket.socket] = {}
        busy: list[FixedPort] = []
        for fixed in wanted.values():
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            # Connections of a mesh that just ended may linger in TIME_WAIT; they are no obstacle to a listener.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                if fixed.port in taken or fixed.port in self._held:
                    raise OSError("asked for twice")
                sock.bind((LOOPBACK, fixed.port))
            except OSError as error:
                sock.close()
                if isinstance(error, PermissionError):
                    raise MeshtrailError(
                        f"port {fixed.port} ({fixed.purpose}) is for the administrator only",
                        mend=f"choose one above 1023: `{fixed.option} N`",
                    ) from None
                busy.append(fixed)
            else:
                taken[fixed.port] = sock
        if busy:
            for sock in taken.values():
                sock.close()
            raise BusyPortsError(busy)
        for port, sock in taken.items():
            self._keep(port, sock)
        return {name: fixed.port for name, fixed in wanted.items()}

    def free(self) -> int:
        """A port that nobody uses."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind((LOOPBACK, 0))
        port: int = sock.getsockname()[1]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._keep(port, sock)
        return port

    def release(self, port: int) -> None:
        """Give a port back; unknown ports are none of ours and left alone."""
        sock = self._held.pop(port, None)
        if sock is not None:
            sock.close()

    def close(self) -> None:
        for port in list(self._held):
            self.release(port)

    def before_start(self) -> None:
        """Where a bound socket blocks the listener (not on Linux), let go just before the processes start."""
        if not self._hold:
            self.close()

    def _keep(self, port: int, sock: socket.socket) -> None:
        self._held[port] = sock
