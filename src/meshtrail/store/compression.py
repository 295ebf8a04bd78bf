"""Decompression with a limit on what comes out: a few kilobytes of gzip can hold gigabytes."""

from __future__ import annotations

import zlib

from meshtrail.store.refused import MALFORMED, TOO_LARGE, RefusedError

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
# Members one after the other are allowed by gzip; nobody sends many, and each copies the rest of the body.
_MAX_MEMBERS = 16


def gunzip(data: bytes, limit: int) -> bytes:
    """The decompressed bytes of gzip (also several members) or zlib.

    Raises RefusedError when it is not that, is cut short, or holds more than `limit` bytes.
    """
    parts: list[bytes] = []
    total = 0
    while data:
        if len(parts) == _MAX_MEMBERS:
            raise RefusedError(MALFORMED, f"the gzip body has more than {_MAX_MEMBERS} members")
        unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            part = unpacker.decompress(data, limit - total + 1)
        except zlib.error:
            raise RefusedError(MALFORMED, "the body is not valid gzip") from None
        total += len(part)
        if total > limit:
            raise RefusedError(TOO_LARGE, f"the body is over {limit} bytes when decompressed, the limit")
        if not unpacker.eof:
            raise RefusedError(MALFORMED, "the gzip body is cut short")
        parts.append(part)
        data = unpacker.unused_data
    return b"".join(parts)
