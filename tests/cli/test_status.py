"""`meshtrail status` and `meshtrail down`, detached meshes side by side."""

from __future__ import annotations

import json

from tests.support.mesh import alive, meshtrail, running_mesh, unique_name

from meshtrail.local import state
from meshtrail.local.state import RunningMesh

PROCESS = {"name", "kind", "pid", "address", "state", "restarts", "log"}


def test_json_holds_what_scripts_need(default_mesh: RunningMesh) -> None:
    mesh = default_mesh
    status = json.loads(meshtrail("status", "--json", "--name", mesh.name).stdout)
    assert (status["name"], status["application"], status["pid"]) == (mesh.name, "three-tier", mesh.pid)
    assert all(status[key].startswith("http://127.0.0.1:") for key in ("gateway", "jaeger", "otlp_http", "zipkin"))
    assert status["otlp_grpc"].startswith("127.0.0.1:")
    assert all(process.keys() >= PROCESS for process in status["processes"])
    kinds = [process["kind"] for process in status["processes"]]
    assert {kind: kinds.count(kind) for kind in kinds} == {"store": 1, "service": 3, "sidecar": 3, "gateway": 1}
    assert {process["state"] for process in status["processes"]} == {"ready"}
    table = meshtrail("status", "--name", mesh.name).stdout
    for process in status["processes"]:
        assert process["name"] in table
        assert str(process["pid"]) in table
    assert status["logs"] in table


def test_several_meshes_run_side_by_side_and_down_ends_one() -> None:
    with running_mesh() as one, running_mesh() as two:
        assert one.gateway != two.gateway
        pids = [process.pid for process in one.processes]
        assert "is down" in meshtrail("down", "--name", one.name).stdout
        assert not any(alive(pid) for pid in [one.pid, *pids] if pid)
        assert "no mesh named" in meshtrail("status", "--name", one.name, status=1).stderr
        assert state.load(two.name).ready


def test_down_without_a_mesh_is_fine() -> None:
    name = unique_name()
    assert f"no mesh named '{name}' is running" in meshtrail("down", "--name", name).stdout
