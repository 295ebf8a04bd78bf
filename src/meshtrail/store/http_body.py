"""Reading an HTTP body with limits, before and after decompression."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from meshtrail.store.compression import gunzip
from meshtrail.store.refused import MALFORMED, TOO_LARGE, UNSUPPORTED, RefusedError

_GZIPPED = frozenset({"gzip", "x-gzip", "deflate", "zlib"})


async def read_body(request: Request, limit: int) -> bytes:
    """The body, decompressed. Raises RefusedError; an oversize body is refused without reading it to its end."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if encoding != "identity" and encoding not in _GZIPPED:
        raise RefusedError(UNSUPPORTED, f"Content-Encoding {encoding[:50]!r}: send gzip, deflate or identity")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except ClientDisconnect:
        raise RefusedError(MALFORMED, "the body ended early") from None
    body = b"".join(chunks)
    return gunzip(body, limit) if encoding in _GZIPPED else body


def content_type(request: Request) -> str:
    """The media type without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large(limit: int) -> RefusedError:
    return RefusedError(TOO_LARGE, f"the body is over {limit} bytes, the limit (--max-body)")
