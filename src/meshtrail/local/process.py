"""One supervised process: started, watched, started again with back-off when it crashes, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meshtrail.errors import MeshtrailError
from meshtrail.local import logs, state
from meshtrail.local.guard import ShellGuard, parent_death_signal

Kind = Literal["service", "sidecar", "gateway", "store"]
State = Literal["starting", "ready", "backing-off", "stopped"]

# The first restart is immediate, then the wait doubles; a process that ran well for a while starts over.
BACKOFF_FIRST = 0.2
BACKOFF_MAX = 5.0
HEALTHY_AFTER = 10.0
POLL = 0.02
START_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: `argv[0]` is the executable, `env` the whole environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


class StartError(MeshtrailError):
    """A process that ended, or did not become ready, when it was started; the message shows its last log lines."""


class Spawner:
    """Starts processes in their own group that cannot outlive meshtrail. Use it from the main thread only."""

    def __init__(self, guard: ShellGuard | None) -> None:
        self._guard = guard
        self._before_exec = parent_death_signal()

    def spawn(self, program: Program, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            process = subprocess.Popen(
                program.argv,
                env=dict(program.env),
                cwd=program.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=self._before_exec,
            )
        if self._guard:
            self._guard.started(process.pid)
        return process

    def ended(self, pid: int) -> None:
        if self._guard:
            self._guard.ended(pid)


async def wait_for_exit(process: subprocess.Popen[bytes]) -> int:
    """The exit status (negative: the signal); what the process itself had started is killed with it."""
    if hasattr(os, "pidfd_open"):
        loop = asyncio.get_running_loop()
        fd = os.pidfd_open(process.pid)
        ended = asyncio.Event()
        loop.add_reader(fd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)
        # Not yet waited for, so its pid cannot be another's yet.
        _signal(process.pid, signal.SIGKILL)
        return process.wait()
    while (status := process.poll()) is None:  # noqa: ASYNC110 - no file descriptor tells of the end here
        await asyncio.sleep(POLL)
    _signal(process.pid, signal.SIGKILL)
    return status


class Process:
    """A process and its life. `ready` is asked until it says yes; `changed` is called when state or pid changes.

    `on_restart` is called with a sentence when the process ended by itself and is started again.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        program: Program,
        *,
        address: str,
        log: Path,
        ready: Callable[[Process], Awaitable[bool]],
        spawner: Spawner,
        changed: Callable[[], None],
        on_restart: Callable[[str], None],
    ) -> None:
        self.name = name
        self.kind: Kind = kind
        self.program = program
        self.address = address
        self.log = log
        self.state: State = "stopped"
        self.restarts = 0
        self.pid: int | None = None
        self.started = ""
        self.log_start = 0
        self.ready = ready
        self._spawner = spawner
        self._changed = changed
        self._on_restart = on_restart
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._first_ready: asyncio.Future[None] | None = None

    def info(self) -> state.ProcessInfo:
        return state.ProcessInfo(
            name=self.name,
            kind=self.kind,
            pid=self.pid,
            address=self.address,
            state=self.state,
            restarts=self.restarts,
            log=str(self.log),
            started=self.started,
        )

    def start(self) -> None:
        """Start in the background; `wait_ready` tells how it went."""
        assert self._task is None
        self._first_ready = asyncio.get_running_loop().create_future()
        self._first_ready.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._task = asyncio.create_task(self._live(), name=self.name)

    async def wait_ready(self) -> None:
        """Raises StartError when it ends before it was ready once, or is not ready within START_WITHIN seconds."""
        assert self._first_ready is not None
        try:
            async with asyncio.timeout(START_WITHIN):
                await asyncio.shield(self._first_ready)
        except TimeoutError:
            raise self._start_error(f"is not ready after {START_WITHIN:g} s") from None

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL to its whole group after `grace` seconds. Returns when it is gone."""
        task, self._task = self._task, None
        if task is None:
            return
        pid = self.pid
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if pid is not None and self._process is not None:
            _signal(pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(grace):
                    await wait_for_exit(self._process)
            except TimeoutError:
                _signal(pid, signal.SIGKILL)
                await wait_for_exit(self._process)
            self._gone()
        self._set("stopped")

    async def replace(self, program: Program, grace: float) -> None:
        """Stop, then start with another program. Raises StartError as `wait_ready`."""
        await self.stop(grace)
        self.program = program
        self.start()
        await self.wait_ready()

    def kill(self) -> None:
        """At once, without waiting."""
        if self.pid is not None:
            _signal(self.pid, signal.SIGKILL)

    async def _live(self) -> None:
        assert self._first_ready is not None
        failures = 0
        while True:
            began = time.monotonic()
            ending = await self._run_once()
            if not self._first_ready.done():
                self._set("stopped")
                self._first_ready.set_exception(self._start_error(f"ended at start ({ending})"))
                return
            if time.monotonic() - began > HEALTHY_AFTER:
                failures = 0
            delay = min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** (failures - 1)) if failures else 0.0
            failures += 1
            self.restarts += 1
            self._set("backing-off")
            wait = f" in {delay:.1f} s" if delay else ""
            self._on_restart(f"{self.name} ended ({ending}); starting it again{wait}")
            await asyncio.sleep(delay)

    async def _run_once(self) -> str:
        """Run until it ends; says how it ended."""
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        try:
            self._process = self._spawner.spawn(self.program, self.log)
        except OSError as error:
            return f"{self.program.argv[0]}: {error.strerror}"
        self.pid = self._process.pid
        self.started = state.started_at(self.pid)
        self._set("starting")
        readiness = asyncio.create_task(self._become_ready())
        try:
            status = await wait_for_exit(self._process)
        finally:
            readiness.cancel()
        self._gone()
        return _ending(status)

    async def _become_ready(self) -> None:
        while not await self._is_ready():  # noqa: ASYNC110 - another process tells, by being asked
            await asyncio.sleep(POLL)
        self._set("ready")
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_result(None)

    async def _is_ready(self) -> bool:
        try:
            return await self.ready(self)
        except OSError:
            return False

    def _gone(self) -> None:
        if self.pid is not None:
            self._spawner.ended(self.pid)
        self.pid = None
        self.started = ""
        self._process = None

    def _set(self, value: State) -> None:
        self.state = value
        self._changed()

    def _start_error(self, what: str) -> StartError:
        lines = logs.last_lines(self.log, since=self.log_start)
        shown = "".join(f"\n    {line[:400]}" for line in lines.splitlines())
        return StartError(
            f"{self.kind} {self.name} {what}; its last lines:{shown or ' (none)'}", mend=f"log: {self.log}"
        )


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
