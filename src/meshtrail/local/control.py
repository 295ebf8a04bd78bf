"""The control API of a running mesh: HTTP and JSON on a unix socket that only its user may open.

No web page reaches a unix socket, so there is no host or origin to check. A framework would double the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from meshtrail.errors import ManifestError, MeshtrailError
from meshtrail.local.http import Address, Response, request
from meshtrail.local.state import NoMeshError, RunningMesh

MAX_REQUEST = 16 * 1024 * 1024
Handler = Callable[[list[str], Any], Awaitable[Any]]
"""Given the rest of the path and the body, both decoded; returns what is answered as JSON."""

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 413: "Content Too Large", 422: "Unprocessable Content"}


class ControlServer:
    """Answers `handlers`, by method and first segment of the path (`("GET", "status")`), until `close`."""

    def __init__(
        self, socket: Path, handlers: Mapping[tuple[str, str], Handler], *, on_defect: Callable[[BaseException], None]
    ) -> None:
        self._socket = socket
        self._handlers = handlers
        self._on_defect = on_defect
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, path=str(self._socket))
        finally:
            os.umask(mask)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            status, answer = await self._answer(reader)
            body = json.dumps(answer).encode()
            head = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\ncontent-type: application/json\r\n"
            writer.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client went away
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, Any]:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        try:
            method, path, _ = lines[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            length = int(headers.get("content-length", "0"))
            if length > MAX_REQUEST:
                return 413, {"error": f"request of {length} bytes; the limit is {MAX_REQUEST}"}
            body = json.loads(await reader.readexactly(length)) if length else None
        except ValueError as error:
            return 400, {"error": f"not a request: {error}"}
        first, *rest = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
        handler = self._handlers.get((method, first))
        if handler is None:
            return 404, {"error": f"no {method} {path}"}
        try:
            return 200, await handler(rest, body)
        except MeshtrailError as error:
            return 422, error_as_json(error)
        except Exception as error:  # a defect must not end the mesh: it is logged and answered
            self._on_defect(error)
            return 500, {"error": f"meshtrail failed: {type(error).__name__}: {error}"}


def error_as_json(error: MeshtrailError) -> dict[str, Any]:
    problems = [str(problem) for problem in error.problems] if isinstance(error, ManifestError) else [str(error)]
    return {"error": error.message, "mend": error.mend, "exit_status": error.exit_status, "problems": problems}


class RemoteError(MeshtrailError):
    """What the running mesh answered when it could not do what was asked."""

    def __init__(self, message: str, *, mend: str, exit_status: int) -> None:
        super().__init__(message, mend=mend)
        self.exit_status = exit_status


def call(mesh: RunningMesh, method: str, path: str, content: Any = None, *, within: float = 60.0) -> Any:
    """Ask a running mesh, from the command line. Raises RemoteError with its words, NoMeshError when it is gone."""
    return asyncio.run(acall(mesh, method, path, content, within=within))


async def acall(mesh: RunningMesh, method: str, path: str, content: Any = None, *, within: float = 60.0) -> Any:
    body = b"" if content is None else json.dumps(content).encode()
    try:
        response: Response = await request(method, Address(socket=Path(mesh.control)), path, body=body, within=within)
    except OSError as error:
        raise NoMeshError(f"the mesh '{mesh.name}' does not answer: {error}", mend="see `meshtrail status`") from None
    answer = response.json()
    if response.status == 200:
        return answer
    raise RemoteError(answer["error"], mend=answer.get("mend", ""), exit_status=answer.get("exit_status", 1))
