"""Listening sockets, and what is said when a port cannot be had."""

from __future__ import annotations

import socket

from meshtrail.errors import MeshtrailError

_BACKLOG = 2048


def listen(host: str, port: int, option: str) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises MeshtrailError when the port is busy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise MeshtrailError(
            f"cannot listen on {host} port {port} ({option}): {error.strerror or error}",
            mend=f"stop what listens there, or choose another port with {option} (0: any free one)",
        ) from None
    listener.setblocking(False)
    return listener
