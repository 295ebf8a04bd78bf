"""Calling the next service from a thread: what upstream.py does over httpx, for a fourth of the CPU.

For the services that answer with threads (Flask). Failures are the same ServiceError with the same words.
"""

from __future__ import annotations

import io
import json
import re
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from meshtrail_common.errors import ServiceError
from meshtrail_common.http1 import NothingError, NotHTTPError, Response, read_response

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

# A kept connection stays with one replica and one listener. After a second of silence the next request opens a new one,
# and so follows a changed listener; a sidecar chooses the replica for each request anyway.
IDLE_SECONDS = 1.0
KEPT_CONNECTIONS = 50
ANSWER_LIMIT = 1024 * 1024  # bytes

Headers = list[tuple[bytes, bytes]]
Answered = Callable[[int], None]

_TARGET = re.compile(r"/[!-~]*")


@contextmanager
def no_span(url: str, headers: Headers) -> Iterator[Answered]:
    """What the plain form has around a call: nothing."""
    yield lambda status: None


class Calls:
    """Where the otel form puts a span around each call: it may add headers, and is told the status of the answer."""

    span: Callable[[str, Headers], AbstractContextManager[Answered]] = staticmethod(no_span)


class _Incoming(io.RawIOBase):
    """What comes over a socket until `end` (time.monotonic()), however slowly the bytes drip."""

    def __init__(self, source: socket.socket, end: float) -> None:
        super().__init__()
        self._socket = source
        self._end = end
        self.empty = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._socket.settimeout(_left(self._end))
        count = self._socket.recv_into(buffer)
        self.empty = self.empty and count == 0
        return count


class _Connection:
    """A connection to an upstream."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._answered_at = 0.0  # time.monotonic(); 0 before the first answer

    def ask(self, request: bytes, end: float) -> Response | None:
        """Return the answer; None when the server closed the connection, which was a kept one, without a byte of it."""
        incoming = _Incoming(self._socket, end)
        try:
            self._socket.settimeout(_left(end))
            self._socket.sendall(request)
            # What a server sends beyond its answer goes with the buffer.
            response = read_response(io.BufferedReader(incoming), ANSWER_LIMIT)
        except (NothingError, ConnectionError):
            if self._answered_at and incoming.empty:
                return None
            raise
        self._answered_at = time.monotonic()
        return response

    def idle(self) -> bool:
        """Whether the connection can take another request: young enough, and nothing came since the last answer."""
        if time.monotonic() - self._answered_at > IDLE_SECONDS:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self._socket.close()


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("the answer is not complete in time")
    return left


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream answered, whatever its status."""

    upstream: str
    status: int
    body: bytes

    def json(self) -> Any:
        """Return the JSON of the body; ServiceError 502 when it holds none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise ServiceError(502, f"upstream {self.upstream} failed: the answer is not JSON") from error


class Upstream:
    """One upstream service, safe to share between threads.

    `url` is such as http://details:9080. `timeout` is in seconds, for the call as a whole: connecting, sending and the
    answer. No proxy of the environment is used and no redirect followed. A GET is sent a second time only when the
    server closed the kept connection it was sent on (RFC 9110, 9.2.2).
    """

    def __init__(self, name: str, url: str, timeout: float) -> None:
        self.name = name
        self.timeout = timeout
        parts = urlsplit(url)
        assert parts.hostname
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path.rstrip("/")
        self._host = parts.netloc.encode("ascii")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._address = parts.hostname, parts.port or (443 if self._tls else 80)
        self._kept: deque[_Connection] = deque()

    def get(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Answer:
        """Return the answer to GET `path` with `headers`, those that a Forwarder picked.

        ServiceError 504 when it is not there in time, 502 when there is none or more than ANSWER_LIMIT bytes of it.
        """
        target = self._prefix + path
        if not _TARGET.fullmatch(target):
            raise ValueError(f"{target!r} cannot stand in a request")
        end = time.monotonic() + self.timeout
        sent = list(headers)
        try:
            with Calls.span(self._origin + target, sent) as answered:
                response = self._ask(self._request(target, sent), end)
                answered(response.status)
        except TimeoutError as error:
            raise ServiceError(504, f"upstream {self.name} timed out after {self.timeout:g} s") from error
        except (OSError, NotHTTPError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ServiceError(502, f"upstream {self.name} failed: {reason}") from error
        return Answer(self.name, response.status, response.body)

    def _request(self, target: str, headers: Headers) -> bytes:
        lines = [b"GET %b HTTP/1.1\r\nHost: %b\r\n" % (target.encode("ascii"), self._host)]
        if not any(name == b"user-agent" for name, _ in headers):
            lines.append(b"User-Agent: python-meshtrail\r\n")
        lines += [b"%b: %b\r\n" % header for header in headers]
        return b"".join([*lines, b"\r\n"])

    def _ask(self, request: bytes, end: float) -> Response:
        while True:
            connection = self._take() or self._connect(end)
            try:
                response = connection.ask(request, end)
            except BaseException:
                connection.close()
                raise
            if response and response.keep and len(self._kept) < KEPT_CONNECTIONS:
                self._kept.append(connection)
            else:
                connection.close()
            if response:
                return response

    def _take(self) -> _Connection | None:
        """Return the connection that was used last; those that have been idle too long are closed."""
        while True:
            try:
                connection = self._kept.pop()
            except IndexError:
                return None
            if connection.idle():
                return connection
            connection.close()

    def _connect(self, end: float) -> _Connection:
        try:
            connected = socket.create_connection(self._address, timeout=_left(end))
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connected = self._tls.wrap_socket(connected, server_hostname=self._address[0])
        except TimeoutError:
            raise
        except OSError as error:
            raise NotHTTPError("cannot connect") from error
        return _Connection(connected)
