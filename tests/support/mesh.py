"""Meshes for tests: real Envoys, real services, the real store, started and stopped through the command line."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from meshtrail.load.plan import plan
from meshtrail.load.report import LoadReport
from meshtrail.load.run import run_load
from meshtrail.load.target import Target, resolve
from meshtrail.local import state
from meshtrail.local.state import RunningMesh

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "meshtrail"]

T = TypeVar("T")
_numbers = itertools.count()


def unique_name() -> str:
    """A name for a mesh that no other test uses at the same time."""
    return f"test-{os.getpid()}-{next(_numbers)}"


def meshtrail(*arguments: str, status: int | None = 0, input: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command; its exit status must be `status` (None: any)."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        input=input,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )
    if status is not None:
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def running_mesh(*options: str, name: str | None = None) -> Iterator[RunningMesh]:
    """A detached mesh on free ports; `options` are those of `meshtrail up`. Ended at the end, whatever happens."""
    name = name or unique_name()
    meshtrail("up", "--detach", "--ports", "auto", "--name", name, *options)
    try:
        yield state.load(name)
    finally:
        meshtrail("down", "--name", name)


def eventually(look: Callable[[], T], *, within: float = 10.0, what: str = "") -> T:
    """Ask until the answer is true; the answer. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within:g} s: {what or look}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    return state.started_at(pid) != ""


def editable_repository(folder: Path) -> Path:
    """A copy of the manifests that a test may edit, with the services of the repository; for `--root`."""
    for part in ("k8s", "istio"):
        shutil.copytree(ROOT / part, folder / part)
    (folder / "services").symlink_to(ROOT / "services")
    return folder


class Load:
    """Requests in the background of a test for as long as the `with` block lasts, at most `seconds`."""

    def __init__(self, url: str | Target, *, rate: float = 100.0, seconds: float = 90.0) -> None:
        self._target = resolve(url) if isinstance(url, str) else url
        self._plan = plan(rate=rate, duration_s=seconds)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self.report: LoadReport | None = None

    def _run(self) -> None:
        try:
            self.report = self._loop.run_until_complete(run_load(self._target, self._plan, stop=self._stop))
        finally:
            self._loop.close()

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
