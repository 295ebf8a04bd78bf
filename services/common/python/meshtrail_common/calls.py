"""Calling the next service from a thread, over urllib3: what upstream.py does over httpx, for less than half the CPU.

For the services that answer with threads (Flask). Failures are the same ServiceError with the same words.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, TimeoutError
from urllib3.response import BaseHTTPResponse, HTTPResponse
from urllib3.util import parse_url

from meshtrail_common.errors import ServiceError

# A kept connection stays with one replica and one listener. After a second of silence the next request opens a new one,
# and so follows a changed listener; a sidecar chooses the replica for each request anyway.
IDLE_SECONDS = 1.0
KEPT_CONNECTIONS = 50
ANSWER_LIMIT = 1024 * 1024  # bytes


class KeptConnectionClosedError(ConnectionError):
    """The server closed a kept connection just as the request was sent; not a byte of an answer came."""


class _Socket(socket.socket):
    """Reads until `end` (time.monotonic()), however slowly the bytes drip."""

    end = math.inf

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        left = self.end - time.monotonic()
        if left <= 0:
            raise socket.timeout("the answer is not complete in time")  # noqa: UP041
        self.settimeout(left)
        return super().recv_into(*arguments, **options)


class _Kept(HTTPConnection):
    """A connection that knows how long it has been idle, and whether it has served a request before."""

    answered_at: float | None = None

    def connect(self) -> None:
        self.answered_at = None
        super().connect()

    @property
    def is_connected(self) -> bool:
        # What the pool asks before it hands out a connection for the next request.
        idle = self.answered_at is not None and time.monotonic() - self.answered_at > IDLE_SECONDS
        return not idle and super().is_connected

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        if isinstance(self.sock, _Socket):
            assert self.timeout is not None
            self.sock.end = time.monotonic() + self.timeout
        try:
            response = super().getresponse()
        except ConnectionError as error:
            if self.answered_at is None:
                raise
            raise KeptConnectionClosedError(str(error)) from error
        self.answered_at = time.monotonic()
        return response


class _Connection(_Kept):
    def connect(self) -> None:
        super().connect()
        # With TLS there is no such thing: there the time limit is looked at between the pieces of an answer.
        self.sock = _Socket(self.sock.family, self.sock.type, self.sock.proto, self.sock.detach())
        self.sock.settimeout(self.timeout)


class _TLSConnection(_Kept, HTTPSConnection):
    """_Kept, over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


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
        parts = parse_url(url)
        assert parts.host
        self._prefix = (parts.path or "").rstrip("/")
        pool = _TLSPool if parts.scheme == "https" else _Pool
        self._pool = pool(parts.host, parts.port, maxsize=KEPT_CONNECTIONS)

    def get(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Answer:
        """Return the answer to GET `path` with `headers`, those that a Forwarder picked.

        ServiceError 504 when it is not there in time, 502 when there is none or more than ANSWER_LIMIT bytes of it.
        """
        named = {name.decode("ascii"): value.decode("latin-1") for name, value in headers}
        end = time.monotonic() + self.timeout
        try:
            while True:
                try:
                    return self._get(path, named, end)
                except ProtocolError as error:
                    if not isinstance(error.args[-1], KeptConnectionClosedError):
                        raise
        except NewConnectionError as error:  # for urllib3 a kind of timeout, so it stands first
            raise ServiceError(502, f"upstream {self.name} failed: cannot connect") from error
        except TimeoutError as error:
            raise ServiceError(504, f"upstream {self.name} timed out after {self.timeout:g} s") from error
        except HTTPError as error:
            raise ServiceError(502, f"upstream {self.name} failed: {type(error).__name__}") from error

    def _get(self, path: str, headers: dict[str, str], end: float) -> Answer:
        response = self._pool.urlopen(
            "GET",
            self._prefix + path,
            headers=headers,
            retries=False,
            redirect=False,
            timeout=Timeout(total=max(end - time.monotonic(), 0.001)),
            preload_content=False,
            decode_content=False,
        )
        try:
            body = self._body(response, end)
        except BaseException:
            response.close()
            raise
        return Answer(self.name, response.status, body)

    def _body(self, response: BaseHTTPResponse, end: float) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := response.read(65536):
            size += len(piece)
            if size > ANSWER_LIMIT:
                raise ServiceError(502, f"upstream {self.name} failed: the answer is larger than {ANSWER_LIMIT} bytes")
            if time.monotonic() > end:
                raise ServiceError(504, f"upstream {self.name} timed out after {self.timeout:g} s")
            pieces.append(piece)
        response.release_conn()
        return b"".join(pieces)
