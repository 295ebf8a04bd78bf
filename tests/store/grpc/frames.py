"""Frames of HTTP/2 (RFC 9113, section 6) byte by byte, also those that a library refuses to write."""

from __future__ import annotations

from struct import Struct

from hpack import Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, HAS_PRIORITY = 0x01, 0x04, 0x08, 0x20
INITIAL_WINDOW_SIZE = 4
DEFAULT_WINDOW = 65_535

_HEAD = Struct(">HBBBL")
_U32 = Struct(">L")
_SETTING = Struct(">HL")
HEAD_SIZE = _HEAD.size


def read_head(data: bytes) -> tuple[int, int, int, int]:
    """Length of the payload, type, flags, stream."""
    high, low, kind, flags, stream = _HEAD.unpack_from(data)
    return high << 8 | low, kind, flags, stream


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values.items()))


def window_update(stream: int, more: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, _U32.pack(more))


def rst_stream(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, _U32.pack(code))


def block(fields: list[tuple[bytes, bytes]]) -> bytes:
    """A header block that needs nothing of those before it."""
    encoded: bytes = Encoder().encode(fields)
    return encoded
