"""A mesh as a process: in the foreground until a signal, or detached from the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from meshtrail.errors import MeshtrailError
from meshtrail.local import control, state
from meshtrail.local.options import MeshOptions
from meshtrail.local.runtime import LocalMesh

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GONE_WITHIN = 45.0


class StoppedError(MeshtrailError):
    """Stopped by a signal before the mesh was ready."""

    exit_status = 130


async def serve(
    options: MeshOptions,
    *,
    on_ready: Callable[[state.RunningMesh], None],
    on_event: Callable[[str], None],
    on_stopping: Callable[[], None] = lambda: None,
    work: Callable[[state.RunningMesh], Awaitable[bool]] | None = None,
) -> None:
    """Run a mesh until a signal, `down`, or until `work`, awaited once the mesh is ready, returns True.

    A second signal kills. Raises MeshtrailError if the mesh cannot start, and what `work` raises.
    """
    mesh = LocalMesh(options, on_event=on_event)
    loop = asyncio.get_running_loop()
    received = 0

    def on_signal() -> None:
        nonlocal received
        received += 1
        mesh.stop_requested.set()
        if received > 1 and hasattr(mesh, "fleet"):
            mesh.fleet.kill()

    for number in STOPS:
        loop.add_signal_handler(number, on_signal)
    starting = asyncio.create_task(mesh.start())
    stopping = asyncio.create_task(mesh.stop_requested.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            raise StoppedError("stopped before the mesh was ready")
        await starting
        on_ready(mesh.status())
        try:
            if work is None or not await _until(stopping, work(mesh.status())):
                await stopping
        finally:
            on_stopping()
            await mesh.stop()
    finally:
        stopping.cancel()
        for number in STOPS:
            loop.remove_signal_handler(number)


async def _until(stopping: asyncio.Task[Any], work: Awaitable[bool]) -> bool:
    """Await `work`, but give it up when `stopping` comes first; whether the mesh shall end now."""
    working = asyncio.ensure_future(work)
    await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        return working.result()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    return True


def detach(options: MeshOptions) -> state.RunningMesh:
    """Start a mesh in a session of its own and wait until it is ready. Raises MeshtrailError with its reason if not."""
    folder = state.open_folder(options.name)
    folder.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder.logs / "supervisor.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "meshtrail.local"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(options.to_json())
        child.stdin.close()
        answer: dict[str, Any] = json.loads(child.stdout.readline() or "{}")
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    except BrokenPipeError:
        answer = {}
    finally:
        child.stdout.close()
    if "ready" in answer:
        # The mesh outlives this process: nobody here waits for its end.
        child.returncode = 0
        return state.RunningMesh.from_json(answer["ready"])
    child.wait()
    if "error" in answer:
        raise control.RemoteError(answer["error"], mend=answer["mend"], exit_status=answer["exit_status"])
    raise MeshtrailError("the mesh ended before it was ready", mend=f"see {folder.logs / 'supervisor.log'}")


def run_detached() -> int:
    """The detached side: options on standard input, one line of JSON on standard output when it is decided."""
    options = MeshOptions.from_json(sys.stdin.read())

    def ready(mesh: state.RunningMesh) -> None:
        _tell({"ready": mesh.as_json()})

    try:
        asyncio.run(serve(options, on_ready=ready, on_event=lambda _: None))
    except MeshtrailError as error:
        _tell(control.error_as_json(error))
        return error.exit_status
    return 0


def _tell(answer: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        # Whoever started us shall not wait for the end of our output.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def stop(mesh: state.RunningMesh) -> None:
    """Ask a mesh to end and wait until it is gone. Raises MeshtrailError when it does not go."""
    try:
        control.call(mesh, "POST", "/stop")
    except MeshtrailError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(mesh.pid, signal.SIGTERM)
    deadline = time.monotonic() + GONE_WITHIN
    while state.started_at(mesh.pid) == mesh.started:
        if time.monotonic() > deadline:
            raise MeshtrailError(f"the mesh '{mesh.name}' (pid {mesh.pid}) does not end", mend=f"kill -9 {mesh.pid}")
        time.sleep(0.02)
