"""The supervisor's smallest part, on small real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.mesh import alive

from meshtrail.local import logs
from meshtrail.local.process import Process, Program, Spawner, StartError

Make = Callable[..., Process]

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Process] = []
    events: list[str] = []

    def one(script: str, *, argv: tuple[str, ...] | None = None, **env: str) -> Process:
        async def ready(process: Process) -> bool:
            return "up" in logs.last_lines(process.log, since=process.log_start)

        process = Process(
            "one",
            "service",
            Program(argv or (sys.executable, "-c", script), {"PATH": os.defpath, **env}, tmp_path),
            address="",
            log=tmp_path / "one.log",
            ready=ready,
            spawner=Spawner(None),
            changed=lambda: None,
            on_restart=events.append,
        )
        made.append(process)
        return process

    yield one
    for process in made:
        await process.stop(0.1)


async def test_it_runs_in_its_own_group_and_is_stopped(make: Make) -> None:
    process = make(SLEEPS)
    process.start()
    await process.wait_ready()
    assert process.pid is not None
    assert os.getpgid(process.pid) == process.pid
    assert process.info().state == "ready"
    pid = process.pid
    await process.stop(5)
    assert process.info().state == "stopped"
    assert process.info().pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_one_that_ignores_sigterm_is_killed_after_the_grace(make: Make) -> None:
    process = make(STUBBORN)
    process.start()
    await process.wait_ready()
    pid = process.pid
    assert pid is not None
    await process.stop(0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_what_it_started_itself_goes_with_it(make: Make, tmp_path: Path) -> None:
    process = make(
        "import subprocess, sys; child = subprocess.Popen(['sleep', '60']);"
        "open('child', 'w').write(str(child.pid)); print('up', flush=True); child.wait()"
    )
    process.start()
    await process.wait_ready()
    assert process.pid is not None
    child = int((tmp_path / "child").read_text())
    os.kill(process.pid, signal.SIGKILL)
    assert process._task is not None
    await process.stop(5)
    # It was killed; the kernel takes its own moment to end it.
    async with asyncio.timeout(5):
        while alive(child):  # noqa: ASYNC110 - another process, which nobody here can wait for
            await asyncio.sleep(0.01)


async def test_an_end_before_it_was_ready_shows_the_last_lines(make: Make) -> None:
    process = make("import sys; print('old news'); print('PORT is wrong', file=sys.stderr); sys.exit(3)")
    process.log.write_text("of another run\n")
    process.start()
    with pytest.raises(StartError) as caught:
        await process.wait_ready()
    text = str(caught.value)
    assert "exit status 3" in text
    assert "PORT is wrong" in text
    assert "another run" not in text
    assert str(process.log) in text
    assert process.state == "stopped"


async def test_a_program_that_is_not_there(make: Make) -> None:
    process = make("", argv=("/no/such/program",))
    process.start()
    with pytest.raises(StartError, match=r"/no/such/program.*No such file"):
        await process.wait_ready()


async def test_another_program_takes_over(make: Make) -> None:
    process = make(SLEEPS)
    process.start()
    await process.wait_ready()
    old = process.program
    with pytest.raises(StartError, match="exit status 1"):
        await process.replace(Program((sys.executable, "-c", "exit(1)"), old.env, old.cwd), 5)
    await process.replace(old, 5)
    assert (process.state, process.restarts) == ("ready", 0)


def test_a_log_is_bounded_and_goes_on_at_its_new_end(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("ab") as writer:
        writer.write(b"a" * 200)
        writer.flush()
        assert logs.bound(log, 100)
        assert not logs.bound(log, 100)
        writer.write(b"later\n")
        writer.flush()
        assert log.read_bytes() == b"later\n"
    assert logs.previous(log).stat().st_size == 200
    logs.rotate(log)
    assert not log.exists()
    assert logs.previous(log).read_bytes() == b"later\n"
    assert logs.last_lines(log) == ""
