from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshtrail.errors import MeshtrailError
from meshtrail.local import state
from meshtrail.local.state import NoMeshError, ProcessInfo, RunningMesh


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MESHTRAIL_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def mesh(name: str = "default", **changes: object) -> RunningMesh:
    process = ProcessInfo("frontend", "service", 1, "127.0.0.1:1", "ready", 0, "/log")
    made = RunningMesh(
        name=name,
        application="three-tier",
        pid=os.getpid(),
        gateway="http://127.0.0.1:1",
        jaeger="http://127.0.0.1:2",
        otlp_http="http://127.0.0.1:3",
        zipkin="http://127.0.0.1:4",
        otlp_grpc="127.0.0.1:5",
        control="/c",
        run_folder="/nowhere",
        logs="/logs",
        started=state.started_at(os.getpid()),
        processes=(process,),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_what_is_written_is_loaded(root: Path) -> None:
    folder = state.open_folder("one")
    folder.acquire()
    folder.write(mesh("one"))
    assert state.load("one") == mesh("one")
    assert [found.name for found in state.running()] == ["one"]
    assert (root / "one").stat().st_mode & 0o777 == 0o700
    folder.release()
    with pytest.raises(NoMeshError, match="no mesh named 'one' is running"):
        state.load("one")


def test_no_mesh_names_the_others_and_how_to_start() -> None:
    folder = state.open_folder("other")
    folder.acquire()
    folder.write(mesh("other"))
    with pytest.raises(NoMeshError, match=r"meshtrail up -d.*--name other") as caught:
        state.load()
    assert caught.value.exit_status == 1
    folder.release()


def test_a_crashed_mesh_is_no_running_one_and_is_cleared(tmp_path: Path) -> None:
    folder = state.open_folder("default")
    folder.acquire()
    # A pid that is in use, by another process than the one that wrote the state.
    stale = tmp_path / "mt-stale"
    stale.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, process_group=0) as left:
        processes = (
            ProcessInfo("left", "service", left.pid, "", "ready", 0, "", started=state.started_at(left.pid)),
            ProcessInfo("reused", "service", os.getpid(), "", "ready", 0, "", started="long ago"),
        )
        folder.write(mesh(started="long ago", run_folder=str(stale), processes=processes))
        with pytest.raises(NoMeshError):
            state.load()
        assert folder._lock is not None
        os.close(folder._lock)  # as the kernel does when a process is killed
        again = state.open_folder("default")
        again.acquire()
        assert left.wait(5) == -9
    assert not stale.exists()
    assert again.read() is None
    again.release()


def test_only_a_folder_of_ours_is_removed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    folder = state.open_folder("default")
    folder.path.mkdir(parents=True)
    folder.write(mesh(started="long ago", run_folder=str(precious)))
    folder.acquire()
    assert precious.exists()
    folder.release()


def test_a_name_runs_once() -> None:
    first, second = state.open_folder("twice"), state.open_folder("twice")
    first.acquire()
    with pytest.raises(MeshtrailError, match="already running"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


@pytest.mark.parametrize("name", ["", "A", "a b", "../up", "-a", "a-", "a" * 41])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(MeshtrailError, match="cannot be the name"):
        state.open_folder(name)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"processes": [], "problems": [], "warnings": [], "newer": 1}'])
def test_state_that_cannot_be_read_is_no_mesh(root: Path, text: str) -> None:
    (root / "default").mkdir(parents=True)
    (root / "default" / "state.json").write_text(text)
    with pytest.raises(NoMeshError):
        state.load()


def test_started_at_tells_a_process_from_the_next_one_and_the_dead() -> None:
    assert state.started_at(os.getpid()) == state.started_at(os.getpid()) != ""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    assert state.started_at(gone.pid) == ""  # a zombie is not running
    gone.wait()
    assert state.started_at(gone.pid) == ""
