"""gRPC on HTTP/2: what a request must be, what an answer is (grpc.io, "gRPC over HTTP2")."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from meshtrail.store.compression import gunzip
from meshtrail.store.refused import UNSUPPORTED, RefusedError, Status

Headers = list[tuple[bytes, bytes]]

UNIMPLEMENTED = Status(grpc=12, http=501)
INTERNAL = Status(grpc=13, http=500)

_PREFIX_SIZE = 5  # of a message: a flag and four bytes of length
_CONTENT_TYPE = (b"content-type", b"application/grpc")
HEADERS: Headers = [(b":status", b"200"), _CONTENT_TYPE]
TRAILERS: Headers = [(b"grpc-status", b"0")]


@dataclass(slots=True)
class Call:
    """A unary request on its way in, then its answer as far as it could not be sent."""

    gzip: bool
    body: bytearray = field(default_factory=bytearray)
    answer: bytes = b""

    def size(self) -> int:
        """Bytes of the message: what its prefix says or what came, whichever is more."""
        said = int.from_bytes(self.body[1:_PREFIX_SIZE]) if len(self.body) >= _PREFIX_SIZE else 0
        return max(said, len(self.body) - _PREFIX_SIZE)

    def message(self, limit: int) -> bytes:
        """The message, decompressed. Raises RefusedError, also when it is over `limit` bytes."""
        body = bytes(self.body)
        if len(body) < _PREFIX_SIZE or int.from_bytes(body[1:_PREFIX_SIZE]) != len(body) - _PREFIX_SIZE:
            raise RefusedError(INTERNAL, "the request is not one whole message")
        if body[0] == 0:
            return body[_PREFIX_SIZE:]
        if body[0] != 1 or not self.gzip:
            raise RefusedError(INTERNAL, "a compressed message without its grpc-encoding")
        return gunzip(body[_PREFIX_SIZE:], limit)


def read_headers(headers: Iterable[tuple[bytes, bytes]], path: bytes) -> Call:
    """The call, which must be to the method at `path`. Raises RefusedError."""
    fields = dict(headers)
    if fields.get(b":method") != b"POST" or not fields.get(b"content-type", b"").startswith(b"application/grpc"):
        raise RefusedError(UNSUPPORTED, "this port speaks gRPC")
    if fields.get(b":path") != path:
        asked = fields.get(b":path", b"")[:100].decode("latin-1")
        raise RefusedError(UNIMPLEMENTED, f"no method {asked}; there is {path.decode()}")
    encoding = fields.get(b"grpc-encoding", b"identity")
    if encoding not in (b"identity", b"gzip"):
        shown = encoding[:50].decode("latin-1")
        raise RefusedError(UNIMPLEMENTED, f"compression {shown!r}: send gzip or identity")
    return Call(gzip=encoding == b"gzip")


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4) + message


def refusal(refused: RefusedError) -> Headers:
    """An answer of trailers alone."""
    shown = quote(refused.message, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}")
    status = [(b"grpc-status", str(refused.status.grpc).encode()), (b"grpc-message", shown.encode())]
    accepts = [(b"grpc-accept-encoding", b"identity,gzip")] if refused.status is UNIMPLEMENTED else []
    http_status = b"415" if refused.status is UNSUPPORTED else b"200"
    return [(b":status", http_status), _CONTENT_TYPE, *status, *accepts]
