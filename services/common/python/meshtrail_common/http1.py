"""Reading the answer to a GET from a connection, as HTTP/1.1 (RFC 9112) has it.

http.client does this with the parser of e-mail headers, for more CPU than all the rest of a call. Of the headers only
those are looked at that say where the answer ends and whether the connection may be kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import IO

LINE_LIMIT = 65536  # bytes of one header
HEADERS_LIMIT = 200

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_HEADER = re.compile(rb"([!#-'*+.0-9A-Z^-z|~-]+):[ \t]*([^\r\n]*?)[ \t]*\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


class NotHTTPError(Exception):
    """What came is not an answer in HTTP/1.1, or not all of one; the message says which."""


class NothingError(NotHTTPError):
    """The connection ended before a byte of an answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; `keep` says whether the next request may go over the same connection."""

    status: int
    body: bytes
    keep: bool


def read_response(stream: IO[bytes], limit: int) -> Response:
    """Return the final answer (not 1xx) that stands next in `stream`; NotHTTPError when its body exceeds `limit`."""
    while True:
        version, status = _status(stream)
        headers = _headers(stream)
        if status >= 200:
            break
    keep = version == 1 and b"close" not in _list(headers.get(b"connection", b""))
    coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
    if status in (204, 304):
        return Response(status, b"", keep)
    if coding is not None:
        if _list(coding) != [b"chunked"]:
            raise NotHTTPError("the answer has an unknown transfer coding")
        return Response(status, _chunks(stream, limit), keep and length is None)
    if length is not None:
        if not (length.isdigit() and len(length) < 16):
            raise NotHTTPError("the length of the answer is not a number")
        return Response(status, _exactly(stream, int(length), limit), keep)
    # Neither: the answer ends with the connection.
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise _too_large(limit)
    return Response(status, body, keep=False)


def _status(stream: IO[bytes]) -> tuple[int, int]:
    line = stream.readline(LINE_LIMIT)
    if not line:
        raise NothingError("the connection was closed without an answer")
    found = _STATUS.fullmatch(line)
    if not found:
        raise NotHTTPError("the answer is not HTTP/1.1")
    return int(found[1]), int(found[2])


def _headers(stream: IO[bytes]) -> dict[bytes, bytes]:
    """Return the headers by their names in lower case, the values of a repeated one joined with a comma."""
    headers: dict[bytes, bytes] = {}
    for _ in range(HEADERS_LIMIT):
        line = stream.readline(LINE_LIMIT)
        if line in (b"\r\n", b"\n"):
            return headers
        found = _HEADER.fullmatch(line)
        if not found:
            raise NotHTTPError("a header of the answer is cut short or malformed")
        name, value = found[1].lower(), found[2]
        headers[name] = headers[name] + b"," + value if name in headers else value
    raise NotHTTPError(f"the answer has more than {HEADERS_LIMIT} headers")


def _list(value: bytes) -> list[bytes]:
    return [item.strip() for item in value.lower().split(b",") if item.strip()]


def _exactly(stream: IO[bytes], length: int, limit: int) -> bytes:
    if length > limit:
        raise _too_large(limit)
    body = stream.read(length)
    if len(body) < length:
        raise NotHTTPError("the answer is cut short")
    return body


def _chunks(stream: IO[bytes], limit: int) -> bytes:
    chunks: list[bytes] = []
    left = limit
    while True:
        found = _CHUNK.fullmatch(stream.readline(LINE_LIMIT))
        if not found:
            raise NotHTTPError("a chunk of the answer is cut short or malformed")
        size = int(found[1], 16)
        if size == 0:
            _headers(stream)  # trailers
            return b"".join(chunks)
        if size > left:
            raise _too_large(limit)
        left -= size
        chunks.append(_exactly(stream, size, limit))
        if stream.readline(3) not in (b"\r\n", b"\n"):
            raise NotHTTPError("a chunk of the answer is cut short or malformed")


def _too_large(limit: int) -> NotHTTPError:
    return NotHTTPError(f"the answer is larger than {limit} bytes")
