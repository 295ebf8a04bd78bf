from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from meshtrail.local.http import Address, request

ANSWERS = {
    "chunked": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        200,
        b"abcde",
    ),
    "length": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno rest", 404, b"no"),
    "until the end": (b"HTTP/1.0 200 OK\r\n\r\nall of it", 200, b"all of it"),
}
BROKEN = {
    "not HTTP": b"SSH-2.0-x\r\n\r\n",
    "cut": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
    "cut head": b"HTTP/1.1 200",
    "bad chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "huge": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
    "nothing": b"",
}


async def answer(raw: bytes, socket: Path) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return await asyncio.start_unix_server(serve, path=str(socket))


@pytest.mark.parametrize("case", list(ANSWERS))
async def test_answers_are_read_as_the_protocol_frames_them(case: str, tmp_path: Path) -> None:
    raw, status, body = ANSWERS[case]
    async with await answer(raw, tmp_path / "s"):
        got = await request("GET", Address(socket=tmp_path / "s"), "/")
    assert (got.status, got.body) == (status, body)


@pytest.mark.parametrize("case", list(BROKEN))
async def test_whatever_is_no_answer_is_an_os_error(case: str, tmp_path: Path) -> None:
    async with await answer(BROKEN[case], tmp_path / "s"):
        with pytest.raises(OSError, match=r"HTTP|bytes|answer"):
            await request("GET", Address(socket=tmp_path / "s"), "/")


async def test_waiting_has_an_end(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    async with await asyncio.start_unix_server(serve, path=str(tmp_path / "s")):
        with pytest.raises(OSError, match="no answer within"):
            await request("GET", Address(socket=tmp_path / "s"), "/", within=0.05)
        await ended.wait()
    with pytest.raises(OSError, match="No such file"):
        await request("GET", Address(socket=tmp_path / "gone"), "/")
