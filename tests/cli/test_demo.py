"""`meshtrail demo`, as somebody types it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.support.mesh import COMMAND, ROOT, alive, meshtrail, unique_name

from meshtrail.local import state


def test_once_draws_one_complete_trace_and_leaves_nothing_behind() -> None:
    name = unique_name()
    done = meshtrail("demo", "--once", "--requests", "3", "--ports", "auto", "--name", name)
    assert "status: 200 x 3" in done.stdout
    assert "one trace, complete" in done.stdout
    assert len([line for line in done.stdout.splitlines() if "SERVER" in line or "CLIENT" in line]) == 7
    assert "Stopping" in done.stdout
    assert "In another terminal" not in done.stdout
    assert meshtrail("status", "--name", name, status=None).returncode != 0


def test_once_fails_without_a_complete_trace(tmp_path: Path) -> None:
    # frontend that drops the headers from the start: the last trace is broken, and the exit status says so.
    patch = tmp_path / "frontend.yaml"
    deployment = (ROOT / "k8s/base/three-tier/frontend.yaml").read_text().split("---\n")[-1]
    deployment = deployment.replace("  name: frontend\n", "  name: frontend\n  namespace: meshtrail\n", 1)
    assert deployment.count("value: all") == 1
    patch.write_text(deployment.replace("value: all", "value: none"))
    # One request: of two that overlap nobody could say whose pieces are whose.
    done = meshtrail(
        "demo", "--once", "--requests", "1", "--ports", "auto", "--name", unique_name(), "-f", str(patch), status=1
    )
    assert "broken in 2 pieces at frontend.meshtrail" in done.stdout


def test_stays_until_ctrl_c_and_says_what_to_try() -> None:
    name = unique_name()
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--requests", "2", "--ports", "auto", "--name", name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert demo.stdout is not None
    try:
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if "Ctrl-C ends the demo" in line:
                break
        text = "".join(lines)
        for step in ("curl http://127.0.0.1:", f"trace --name {name}", f"propagation backend none --name {name}"):
            assert step in text
        pids = [process.pid for process in state.load(name).processes if process.pid]
        assert len(pids) == 8
        os.kill(demo.pid, signal.SIGINT)
        assert demo.wait(20) == 0
        deadline = time.monotonic() + 2
        while any(alive(pid) for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        demo.kill()
        demo.stdout.close()
        demo.wait()


def test_ctrl_c_during_the_requests_is_no_failure() -> None:
    name = unique_name()
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--requests", "2000", "--ports", "auto", "--name", name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    try:
        while "Up:" not in demo.stdout.readline():
            assert demo.poll() is None
        os.kill(demo.pid, signal.SIGINT)
        rest, errors = demo.communicate(timeout=20)
        assert demo.returncode == 0, errors
        assert "Traceback" not in rest + errors
    finally:
        demo.kill()
        demo.communicate()
