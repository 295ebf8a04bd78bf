"""One keep-alive HTTP/1.1 connection that sends GET requests, one at a time.

A general client costs about twenty times the processor time for each request (measured: httpx 1.4 ms, this 0.07 ms), on
the cores that the services and sidecars run on. This one does only what load needs; parsing is left to httptools
(llhttp), which uvicorn uses too.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import cast

import httptools

from meshtrail.load.target import Target


class ConnectionFailedError(Exception):
    """The connection ended or spoke nonsense; `kind` is the word under which the report counts it.

    `unanswered`: not one byte of an answer had come.
    """

    def __init__(self, kind: str, *, unanswered: bool = False) -> None:
        super().__init__(kind)
        self.kind = kind
        self.unanswered = unanswered


@dataclass(frozen=True, slots=True)
class Answer:
    """Status code and number of body bytes."""

    status: int
    size: int


class Connection(asyncio.Protocol):
    """Open it with `connect`. `usable` says whether another request may be sent."""

    def __init__(self) -> None:
        self.used = 0
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._size = 0
        self._bytes = 0
        self._framed = False
        self._headed = False
        self._keep = True

    @property
    def usable(self) -> bool:
        return self._keep and self._transport is not None and not self._transport.is_closing()

    async def get(self, request: bytes) -> Answer:
        """Send the whole request, wait for the whole answer. Raises ConnectionFailedError; bound the time outside."""
        assert self._transport is not None
        self.used += 1
        self._size = self._bytes = 0
        self._framed = self._headed = False
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            if not self._waiting.done() or self._waiting.cancelled():
                self.close()

    def close(self) -> None:
        self._keep = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._parser is None:
            # An answer that nobody asked for, e.g. 408 before the server closes an idle connection.
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("not an HTTP/1.1 answer")
        except httptools.HttpParserError:
            self._fail("malformed answer")

    def connection_lost(self, error: Exception | None) -> None:
        self._keep = False
        if error is None and self._headed and not self._framed and self._parser is not None:
            # Without a length the end of the connection is the end of the body (RFC 9112, 6.3).
            self._done(self._parser.get_status_code())
            return
        kind = "connection reset" if isinstance(error, ConnectionResetError) else "connection closed"
        self._fail(kind, unanswered=self._bytes == 0)

    # httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_body(self, body: bytes) -> None:
        self._size += len(body)

    def on_message_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        if status < 200:
            self._headed = False
            return
        self._keep = parser.should_keep_alive()
        self._done(status)
        if not self._keep:
            self.close()

    def _done(self, status: int) -> None:
        self._parser = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Answer(status, self._size))

    def _fail(self, kind: str, *, unanswered: bool = False) -> None:
        self._parser = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionFailedError(kind, unanswered=unanswered))
        self.close()


async def connect(target: Target) -> Connection:
    """Raises ConnectionFailedError when nothing accepts."""
    loop = asyncio.get_running_loop()
    tls = ssl.create_default_context() if target.scheme == "https" else None
    try:
        _, connection = await loop.create_connection(
            Connection, target.address, target.port, ssl=tls, server_hostname=target.host if tls else None
        )
    except ConnectionRefusedError as error:
        raise ConnectionFailedError("connection refused") from error
    except ssl.SSLError as error:
        raise ConnectionFailedError("TLS failed") from error
    except OSError as error:
        raise ConnectionFailedError("could not connect") from error
    return connection


def encode(target: Target, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The bytes of a GET request; a header given takes the place of the one that would be sent."""
    given = {name.lower() for name, _ in headers}
    standard = (("host", target.authority), ("user-agent", "meshtrail-load"), ("accept", "*/*"))
    sent = [(name, value) for name, value in standard if name not in given] + list(headers)
    lines = [f"GET {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
