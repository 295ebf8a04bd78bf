"""Bad input is a clear error that names the place and the mend; a mesh that runs keeps running."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.shapes import request, spans, trace_of
from tests.support.mesh import alive, editable_repository, eventually, meshtrail, running_mesh, unique_name

from meshtrail.local import control, state
from meshtrail.local.state import RunningMesh


@pytest.fixture(scope="module")
def mesh() -> Iterator[RunningMesh]:
    with running_mesh() as running:
        yield running


DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: extra, namespace: meshtrail}
spec:
  selector: {matchLabels: {app: extra}}
  template:
    metadata: {labels: {app: extra, version: v1}}
    spec:
      containers:
        - name: extra
          image: %s
          env: [{name: %s, value: "%s"}]
          ports: [{containerPort: 8080, name: http}]
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: meshtrail}
spec:
  selector: {app: %s}
  ports: [{name: http, port: 8080%s}]
"""
ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: backend, namespace: meshtrail}
spec:
  hosts: [backend]
  http: [{%s}]
"""
TELEMETRY = """\
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: mesh-default, namespace: istio-system}
spec: {tracing: [{providers: [{name: zapkin}]}]}
"""

# What is applied, and what the error must name.
BAD = {
    "unknown field": (ROUTE % "rout: []", ["VirtualService meshtrail/backend", "spec.http[0].rout", "route"]),
    "YAML error": ("apiVersion: v1\n  kind: [", ["standard input", "2"]),
    "unknown host": (ROUTE % "route: [{destination: {host: nobody}}]", ["VirtualService meshtrail/backend", "nobody"]),
    "unknown provider": (TELEMETRY, ["Telemetry istio-system/mesh-default", "zapkin", "jaeger"]),
    "unknown image": (DEPLOYMENT % ("nginx:1", "A", "b"), ["Deployment meshtrail/extra", "image", "nginx:1", "python"]),
    "no such program": (
        DEPLOYMENT % ("meshtrail/nobody-python", "A", "b"),
        ["Deployment meshtrail/extra", "meshtrail/nobody-python", "meshtrail/backend-python"],
    ),
    "wrong PROPAGATION": (
        DEPLOYMENT % ("meshtrail/database-python", "PROPAGATION", "some"),
        ["extra", "PROPAGATION", "some", "b3"],
    ),
    "a port that the service does not have": (
        DEPLOYMENT % ("meshtrail/backend-python", "DATABASE_SERVICE_URL", "http://database:9"),
        ["Deployment meshtrail/extra", "DATABASE_SERVICE_URL", "8080"],
    ),
    "not a manifest": ("just words", ["standard input"]),
    "nothing known": ("apiVersion: v1\nkind: Serviec\nmetadata: {name: x}\n", ["Serviec", "Service"]),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_manifest_is_refused_and_the_mesh_runs_on(mesh: RunningMesh, case: str) -> None:
    text, named = BAD[case]
    before = {process.name: process.pid for process in state.load(mesh.name).processes}
    answer = meshtrail("apply", "-f", "-", "--name", mesh.name, input=text, status=2)
    assert "Traceback" not in answer.stderr
    for word in named:
        assert word in answer.stderr, answer.stderr
    assert answer.stdout == ""
    eventually(lambda: state.load(mesh.name).ready)
    assert {process.name: process.pid for process in state.load(mesh.name).processes} == before
    trace_of(mesh.jaeger, request(mesh.gateway), spans(7))


def test_a_service_without_a_deployment_is_refused_where_something_leads_to_it(mesh: RunningMesh) -> None:
    text = SERVICE % ("empty", "empty", "") + "---\n" + ROUTE % "route: [{destination: {host: empty}}]"
    answer = meshtrail("apply", "-f", "-", "--name", mesh.name, input=text, status=2)
    assert "Service meshtrail/empty" in answer.stderr
    trace_of(mesh.jaeger, request(mesh.gateway), spans(7))


def test_a_deployment_comes_and_goes(mesh: RunningMesh) -> None:
    text = DEPLOYMENT % ("meshtrail/database-python", "LOG_LEVEL", "info") + "---\n" + SERVICE % ("extra", "extra", "")
    done = meshtrail("apply", "-f", "-", "--name", mesh.name, input=text)
    assert done.stdout.splitlines() == ["deployment.apps/extra created", "service/extra created"]
    by_name = {process.name: process for process in state.load(mesh.name).processes}
    assert by_name["extra"].state == by_name["extra-sidecar"].state == "ready"
    gone = [by_name[name].pid for name in ("extra", "extra-sidecar")]
    meshtrail("delete", "-f", "-", "--name", mesh.name, input=text)
    assert "extra" not in {process.name for process in state.load(mesh.name).processes}
    assert not any(alive(pid) for pid in gone if pid)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("up", "four-tier"), ["four-tier", "three-tier"]),
        (("up", "--form", "both"), ["both", "plain, otel"]),
        (("up", "--form", "middle=otel"), ["middle", "frontend, backend, database"]),
        (("up", "-f", "missing.yaml"), ["missing.yaml"]),
        (("up", "--root", "/"), ["--root", "clone"]),
        (("up", "--name", "No Name"), ["No Name", "letters"]),
        (("propagation", "nobody", "all"), ["nobody", "backend"]),
        (("propagation", "nobody"), ["nobody", "backend"]),
        (("propagation", "backend", "loud"), ["loud", "all, b3, w3c, none"]),
        (("config", "nobody"), ["nobody", "frontend"]),
        (("apply", "-f", "missing.yaml"), ["missing.yaml"]),
        (("apply", "-k", "missing"), ["missing"]),
        (("apply",), ["-f"]),
    ],
)
def test_wrong_arguments_say_what_would_be_right(
    mesh: RunningMesh, arguments: tuple[str, ...], named: list[str]
) -> None:
    own = () if "--name" in arguments or arguments[0] == "up" else ("--name", mesh.name)
    answer = meshtrail(*arguments, *own, status=2)
    assert "Traceback" not in answer.stderr
    for word in named:
        assert word in answer.stderr, answer.stderr


def test_busy_ports_are_named_all_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(sock.getsockname()[1]) for sock in (one, other)]
        name = unique_name()
        options = ("--gateway-port", ports[0], "--zipkin-port", ports[1], "--ports", "auto")
        answer = meshtrail("up", "--detach", "--name", name, *options, status=2)
        for word in (*ports, "--gateway-port", "--zipkin-port", "--ports auto"):
            assert word in answer.stderr
        assert "no mesh" in meshtrail("down", "--name", name).stdout


def test_two_meshes_of_one_name(mesh: RunningMesh) -> None:
    answer = meshtrail("up", "--detach", "--ports", "auto", "--name", mesh.name, status=2)
    assert "already running" in answer.stderr
    assert f"meshtrail down --name {mesh.name}" in answer.stderr
    assert state.load(mesh.name).pid == mesh.pid


def test_a_mesh_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    root = editable_repository(tmp_path)
    path = root / "k8s/base/three-tier/database.yaml"
    path.write_text(path.read_text().replace("value: all", "value: sometimes"))
    name = unique_name()
    answer = meshtrail("up", "--detach", "--ports", "auto", "--name", name, "--root", str(root), status=2)
    for word in ("database", "PROPAGATION", "sometimes", "log"):
        assert word in answer.stderr, answer.stderr
    assert state.open_folder(name).read() is None
    broken = tmp_path / "broken.yaml"
    broken.write_text("kind: [")
    answer = meshtrail("up", "--ports", "auto", "--name", name, "-f", str(broken), status=2)
    assert "broken.yaml:" in answer.stderr
    assert state.open_folder(name).read() is None


def test_the_control_socket_is_the_users_own_and_refuses_nonsense(mesh: RunningMesh) -> None:
    path = Path(mesh.control)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for sent in (
        b"nonsense\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\n\r\n",
        b"POST /apply HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
        b"POST /apply HTTP/1.1\r\ncontent-length: 3\r\n\r\n{{{",
    ):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(sent)
            answer = sock.makefile("rb").read()
        assert answer.split()[1] in (b"400", b"404", b"413"), answer
        assert "error" in json.loads(answer.partition(b"\r\n\r\n")[2])
    assert control.call(mesh, "GET", "/status")["name"] == mesh.name
