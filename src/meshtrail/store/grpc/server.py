"""The gRPC port: accepts connections, ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from meshtrail.store.grpc.connection import Connection, Handler

# Unfinished requests of all connections together may hold this many of the largest message.
_HELD_MESSAGES = 8


class GrpcServer:
    """Serves one unary method: `path` is "/package.Service/Method", `limit` the size of a message in bytes."""

    def __init__(self, path: str, handler: Handler, limit: int) -> None:
        self.path = path.encode()
        self.handler = handler
        self.limit = limit
        self.connections: set[Connection] = set()
        self.held = 0
        self.max_held = limit * _HELD_MESSAGES
        self._server: asyncio.Server | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=listener)

    def opened(self, connection: Connection) -> None:
        self.connections.add(connection)
        self._idle.clear()

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._idle.set()

    async def stop(self, grace_s: float) -> None:
        """Take no new request, answer those that were received, close; at most `grace_s` seconds."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.shut_down()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        for connection in list(self.connections):
            connection.abort()
