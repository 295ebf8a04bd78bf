"""Processes that are killed come back; when meshtrail itself ends, however, nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tests.e2e.shapes import request, spans, trace_of
from tests.support.mesh import COMMAND, ROOT, alive, eventually, meshtrail, running_mesh, unique_name

from meshtrail.local import control, state
from meshtrail.local.state import RunningMesh

KINDS = ("frontend", "backend", "database", "backend-sidecar", "istio-ingressgateway", "trace-store")


def status(mesh: RunningMesh) -> RunningMesh:
    return RunningMesh.from_json(control.call(mesh, "GET", "/status"))


def pids(mesh: RunningMesh) -> dict[str, int]:
    return {process.name: process.pid for process in status(mesh).processes if process.pid}


@contextmanager
def foreground(*options: str, env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], RunningMesh]]:
    """`meshtrail up` in a terminal of its own, as far as signals can tell."""
    name = unique_name()
    process = subprocess.Popen(
        [*COMMAND, "up", "--ports", "auto", "--name", name, *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
    )
    try:
        eventually(lambda: is_up(name), within=30, what="the mesh is up")
        yield process, state.load(name)
    finally:
        process.kill()
        process.communicate()


def is_up(name: str) -> bool:
    found = state.open_folder(name).read()
    return found is not None and found.ready


@pytest.fixture(scope="module")
def mesh() -> Iterator[RunningMesh]:
    with running_mesh() as running:
        yield running


@pytest.mark.parametrize("name", KINDS)
def test_a_killed_process_is_started_again_and_requests_flow(mesh: RunningMesh, name: str) -> None:
    kill(mesh, name)


@pytest.mark.soak  # alone on the machine
@pytest.mark.parametrize("name", KINDS)
def test_a_killed_process_costs_less_than_three_seconds(mesh: RunningMesh, name: str) -> None:
    assert kill(mesh, name) < 3.0


def kill(mesh: RunningMesh, name: str) -> float:
    """End a process and wait until all is as before; the seconds from its end until requests flow again."""
    before = next(process for process in status(mesh).processes if process.name == name)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    killed = time.monotonic()
    eventually(lambda: pids(mesh).get(name) != before.pid, what="the end is noticed")
    with httpx.Client(trust_env=False, timeout=5) as client:

        def answered() -> bool:
            try:
                return client.get(mesh.gateway + "/").status_code == 200
            except httpx.TransportError:
                return False

        eventually(answered)
        eventually(lambda: status(mesh).ready)
    seconds = time.monotonic() - killed
    after = next(process for process in status(mesh).processes if process.name == name)
    assert (after.restarts, after.address) == (before.restarts + 1, before.address)
    # Same addresses: the other Envoys find it where it was, and the trace is whole again.
    trace_of(mesh.jaeger, request(mesh.gateway), spans(7))
    return seconds


def test_a_restarted_service_keeps_the_mode_of_its_switch(mesh: RunningMesh) -> None:
    meshtrail("propagation", "backend", "w3c", "--name", mesh.name)
    pid = pids(mesh)["backend"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: pids(mesh).get("backend", pid) != pid and status(mesh).ready)
    assert meshtrail("propagation", "backend", "--name", mesh.name).stdout.split() == ["backend", "w3c"]
    meshtrail("propagation", "backend", "all", "--name", mesh.name)


def test_a_process_that_keeps_dying_is_backed_off_and_shown(mesh: RunningMesh) -> None:
    first = database(mesh)
    waits: set[str] = set()

    def kept_dying() -> bool:
        now = database(mesh)
        if now.pid:
            # What the status says may be a moment old.
            with suppress(ProcessLookupError):
                os.kill(now.pid, signal.SIGKILL)
        elif now.state == "backing-off" and now.restarts >= first.restarts + 3:
            # The command agrees while it waits to be started again; on a busy machine it may come too late.
            said = meshtrail("status", "--name", mesh.name, status=None)
            if "backing-off" in said.stdout:
                assert said.returncode == 1
                waits.add(said.stdout)
        return bool(waits)

    eventually(kept_dying, within=30)
    assert "NOT READY" in waits.pop()
    eventually(lambda: status(mesh).ready, within=10)
    assert "starting it again in 0.2 s" in (Path(mesh.logs) / "meshtrail.log").read_text()


def database(mesh: RunningMesh) -> state.ProcessInfo:
    return next(process for process in status(mesh).processes if process.name == "database")


# The shell is for macOS, whose kernel has nothing of the kind.
@pytest.mark.parametrize("guard", ["kernel", pytest.param("shell", marks=pytest.mark.matrix)])
def test_nothing_survives_when_meshtrail_is_killed(guard: str) -> None:
    with foreground(env={"MESHTRAIL_GUARD": guard}) as (process, mesh):
        children = pids(mesh)
        assert len(children) == 8
        assert all(alive(pid) for pid in children.values())
        process.kill()
        process.wait()
        eventually(lambda: not any(alive(pid) for pid in children.values()), within=5, what=str(children))
        assert Path(mesh.run_folder).exists()
        # The commands do not take the leftover for a running mesh, and a new one clears it.
        assert "no mesh named" in meshtrail("status", "--name", mesh.name, status=1).stderr
        with running_mesh(name=mesh.name):
            assert not Path(mesh.run_folder).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.matrix)])
def test_ctrl_c_ends_everything_in_order(number: signal.Signals, tmp_path: Path) -> None:
    store = tmp_path / "traces.db"
    with foreground("--store", str(store)) as (process, mesh):
        children = pids(mesh)
        mark = request(mesh.gateway)
        process.send_signal(number)
        # Less than the 10 s after which what has not ended is killed.
        output, _ = process.communicate(timeout=9)
        assert process.returncode == 0, output
        assert not any(alive(pid) for pid in children.values())
        assert not Path(mesh.run_folder).exists()
        assert not state.open_folder(mesh.name).file.exists()
        assert (Path(mesh.logs) / "frontend.log").exists()
    # The spans of the request that came just before have left the Envoys and are on disk.
    with running_mesh("--store", str(store)) as again:
        trace_of(again.jaeger, mark, spans(7))


def test_a_request_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    manifest = tmp_path / "delay.yaml"
    manifest.write_text(
        json.dumps(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": "backend", "namespace": "meshtrail"},
                "spec": {
                    "hosts": ["backend"],
                    "http": [
                        {
                            "fault": {"delay": {"fixedDelay": "1.5s", "percentage": {"value": 100}}},
                            "route": [{"destination": {"host": "backend"}}],
                        }
                    ],
                },
            }
        )
    )
    answers: list[int] = []
    with running_mesh("-f", str(manifest)) as mesh:
        arrived = threading.Event()

        def ask() -> None:
            with httpx.Client(trust_env=False, timeout=15) as client:
                arrived.set()
                answers.append(client.get(mesh.gateway + "/").status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        arrived.wait()
        socket = Path(mesh.run_folder) / "istio-ingressgateway" / "admin.sock"
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))) as admin:
            eventually(lambda: in_flight(admin) == 1)
        meshtrail("down", "--name", mesh.name)
        thread.join()
    assert answers == [200]


def in_flight(admin: httpx.Client) -> int:
    lines = admin.get("http://admin/stats?filter=downstream_rq_active").text.splitlines()
    return sum(int(line.split(": ")[1]) for line in lines if not line.startswith("http.admin."))


def test_a_second_signal_kills(tmp_path: Path) -> None:
    with foreground() as (process, mesh):
        children = pids(mesh)
        os.kill(children["frontend"], signal.SIGSTOP)  # never ends by itself
        process.send_signal(signal.SIGINT)
        eventually(lambda: any(p.state == "stopped" for p in state_of(mesh)), within=5, what="it is stopping")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=8)
        assert not any(alive(pid) for pid in children.values())


def state_of(mesh: RunningMesh) -> tuple[state.ProcessInfo, ...]:
    found = state.open_folder(mesh.name).read()
    return found.processes if found else ()
