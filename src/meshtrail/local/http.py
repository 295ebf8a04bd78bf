"""A small HTTP/1.1 client for the three things the runtime asks: probes, Envoy's admin socket, control ports.

One request a connection, no redirects, no proxies. A library client would cost the supervisor 10 MB.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect: a unix socket when `socket` is set, else host and port."""

    host: str = "127.0.0.1"
    port: int = 0
    socket: Path | None = None


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


async def request(
    method: str, address: Address, path: str, *, body: bytes = b"", within: float = 5.0, content_type: str = ""
) -> Response:
    """Send one request. Raises OSError when there is no good answer (refused, reset, too long, `within` seconds)."""
    try:
        async with asyncio.timeout(within):
            return await _request(method, address, path, body, content_type)
    except TimeoutError:
        raise OSError(f"no answer within {within:g} s") from None
    except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise OSError(f"not an HTTP answer: {error}") from None


async def _request(method: str, address: Address, path: str, body: bytes, content_type: str) -> Response:
    if address.socket is not None:
        reader, writer = await asyncio.open_unix_connection(str(address.socket))
        host = "localhost"
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        host = f"{address.host}:{address.port}"
    try:
        head = [f"{method} {path} HTTP/1.1", f"host: {host}", "connection: close", f"content-length: {len(body)}"]
        if content_type:
            head.append(f"content-type: {content_type}")
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()
        status_line, headers = await _read_head(reader)
        if headers.get("transfer-encoding", "").lower() == "chunked":
            content = await _read_chunks(reader)
        elif "content-length" in headers:
            content = await reader.readexactly(_bounded(int(headers["content-length"])))
        else:
            content = await reader.read(MAX_BODY)
        return Response(int(status_line.split()[1]), content)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    if not lines[0].startswith("HTTP/1.") or len(lines[0].split()) < 2:
        raise ValueError(lines[0][:60])
    return lines[0], headers


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    content = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        content += await reader.readexactly(_bounded(size + len(content)) - len(content))
        await reader.readexactly(2)
    return bytes(content)


def _bounded(size: int) -> int:
    if size > MAX_BODY:
        raise ValueError(f"answer of {size} bytes")
    return size
