"""gRPC on HTTP/2: what a request must be, what an answer is (grpc.io, "gRPC over HTTP2")."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from meshtrail.store.compression import gunzip
from meshtrail.store.grpc.frames import DATA, END_HEADERS, END_STREAM, HEADERS, frame
from meshtrail.store.grpc.hpack import Headers, encode
from meshtrail.store.refused import MALFORMED, RefusedError, Status

UNIMPLEMENTED = Status(grpc=12, http=501)
INTERNAL = Status(grpc=13, http=500)
PREFIX_SIZE = 5  # of a message: a flag and four bytes of length

_CONTENT_TYPE = (b"content-type", b"application/grpc")
_ANSWER_HEAD = encode([(b":status", b"200"), _CONTENT_TYPE])
_OK_TRAILERS = encode([(b"grpc-status", b"0")])
_ACCEPTS = (b"grpc-accept-encoding", b"identity,gzip")


@dataclass(frozen=True, slots=True)
class Call:
    """What the headers of a request say; `refusal` is set when the request cannot be answered."""

    gzip: bool = False
    refusal: RefusedError | None = None
    http_status: int = 200


def read_headers(headers: Headers, path: bytes) -> Call:
    """The call, which is to the method at `path` or refused."""
    fields = dict(headers)
    if fields.get(b":method") != b"POST" or not fields.get(b"content-type", b"").startswith(b"application/grpc"):
        return Call(refusal=RefusedError(MALFORMED, "this port speaks gRPC"), http_status=415)
    if fields.get(b":path") != path:
        asked = fields.get(b":path", b"")[:100].decode("latin-1")
        return Call(refusal=RefusedError(UNIMPLEMENTED, f"no method {asked}; there is {path.decode()}"))
    encoding = fields.get(b"grpc-encoding", b"identity")
    if encoding not in (b"identity", b"gzip"):
        shown = encoding[:50].decode("latin-1")
        return Call(refusal=RefusedError(UNIMPLEMENTED, f"compression {shown!r}: send gzip or identity"))
    return Call(gzip=encoding == b"gzip")


def message_size(prefix: bytes | bytearray) -> int:
    return int.from_bytes(prefix[1:PREFIX_SIZE])


def read_message(call: Call, body: bytes, limit: int) -> bytes:
    """The one message of a unary request. Raises RefusedError."""
    if len(body) < PREFIX_SIZE or message_size(body) != len(body) - PREFIX_SIZE:
        raise RefusedError(INTERNAL, "the request is not one whole message")
    data = body[PREFIX_SIZE:]
    if body[0] == 0:
        return data
    if body[0] != 1 or not call.gzip:
        raise RefusedError(INTERNAL, "a compressed message without its grpc-encoding")
    return gunzip(data, limit)


def answer(stream: int, message: bytes) -> tuple[bytes, bytes, bytes]:
    """Headers, message, trailers, as frames; the middle one counts for flow control."""
    data = b"\0" + len(message).to_bytes(4) + message
    return (
        frame(HEADERS, END_HEADERS, stream, _ANSWER_HEAD),
        frame(DATA, 0, stream, data),
        frame(HEADERS, END_HEADERS | END_STREAM, stream, _OK_TRAILERS),
    )


def refusal(stream: int, refused: RefusedError, http_status: int = 200) -> bytes:
    """An answer of trailers alone."""
    fields = [(b":status", str(http_status).encode()), _CONTENT_TYPE]
    fields += [(b"grpc-status", str(refused.status.grpc).encode())]
    fields += [(b"grpc-message", quote(refused.message, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}").encode())]
    if refused.status is UNIMPLEMENTED:
        fields.append(_ACCEPTS)
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, encode(fields))
