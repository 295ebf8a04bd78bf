"""`meshtrail up` in the foreground: what a person sees and types."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import httpx
from tests.support.mesh import COMMAND, ROOT, editable_repository, eventually, meshtrail, unique_name

from meshtrail.local import state


def test_it_prints_addresses_and_every_event_until_ctrl_c(tmp_path: Path) -> None:
    root = editable_repository(tmp_path)
    name = unique_name()
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [*COMMAND, "up", "--ports", "auto", "--name", name, "--root", str(root)],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        eventually(lambda: "Ctrl-C" in output.read_text(), within=30, what="it is up")
        mesh = state.load(name)
        text = output.read_text()
        for word in (mesh.gateway, mesh.jaeger, mesh.otlp_grpc, mesh.otlp_http, mesh.zipkin, f"--name {name}"):
            assert word in text
        assert httpx.get(mesh.gateway + "/", trust_env=False).status_code == 200

        victim = next(process for process in mesh.processes if process.name == "backend")
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        eventually(lambda: "backend ended (SIGKILL); starting it again" in output.read_text())
        eventually(lambda: state.load(name).ready)

        route = root / "istio/three-tier/backend.yaml"
        good = route.read_text()
        route.write_text(good.replace("host: backend", "host: nobody"))
        eventually(lambda: "edit refused" in output.read_text())
        assert "istio/three-tier/backend.yaml" in output.read_text()
        route.write_text(good.replace("- route:", "- timeout: 3s\n      route:"))
        eventually(lambda: "reloaded: virtualservice.networking.istio.io/backend configured" in output.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert "Stopping" in output.read_text()
    assert "Traceback" not in output.read_text()


def test_stopped_before_it_was_ready_it_leaves_nothing() -> None:
    name = unique_name()
    process = subprocess.Popen(
        [*COMMAND, "up", "--ports", "auto", "--name", name], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    folder = state.open_folder(name)
    eventually(lambda: folder.read() is not None, what="it has begun")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    # Quick machines may be ready just before: then it ends as ever.
    assert process.returncode in (130, 0), output
    assert folder.read() is None
    assert b"Traceback" not in output


def test_help_names_every_option() -> None:
    text = meshtrail("up", "--help").stdout
    for option in ("--form", "--filename", "--ports", "--gateway-port", "--jaeger-port", "--otlp-grpc-port", "--store",
                   "--otlp-http-port", "--zipkin-port", "--name", "--detach", "--lenient", "--root"):  # fmt: skip
        assert option in text
