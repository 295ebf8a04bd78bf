"""An upstream that costs next to nothing: `python -m bench.upstream ANSWER` answers every GET with that JSON."""

from __future__ import annotations

import asyncio
import json
import sys


class Upstream(asyncio.Protocol):
    """Counts the ends of header blocks; requests have no bodies here."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._rest = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        assert self._transport is not None
        self._transport.write(self._answer * len(requests))


async def main(answer: str) -> None:
    json.loads(answer)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
    server = await asyncio.get_running_loop().create_server(lambda: Upstream((head + answer).encode()), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"message": "listening", "port": port}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
