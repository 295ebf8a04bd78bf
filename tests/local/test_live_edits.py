"""Edits of manifests go live under load, without a failed request; a broken one changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.mesh import Load, editable_repository, eventually, meshtrail, running_mesh

from meshtrail.local import control
from meshtrail.local.state import RunningMesh

EDITS = 100

FRONTEND = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: frontend
spec:
  hosts: ["*"]
  gateways: [three-tier]
  http:
    - headers:
        response:
          set:
            x-edit: "{mark}"
      route:
        - destination:
            host: frontend
            port:
              number: 3000
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return editable_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def mesh(root: Path) -> Iterator[RunningMesh]:
    with running_mesh("--root", str(root)) as running:
        yield running


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=15) as client:
        yield client


@pytest.fixture
def good(mesh: RunningMesh, root: Path, client: httpx.Client) -> Path:
    """The edited file, in a known good state that is live."""
    path = root / "istio/three-tier/frontend.yaml"
    path.write_text(FRONTEND.format(mark="good"))
    eventually(lambda: client.get(mesh.gateway + "/healthz").headers.get("x-edit") == "good")
    return path


def status(mesh: RunningMesh) -> RunningMesh:
    return RunningMesh.from_json(control.call(mesh, "GET", "/status"))


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_renaming(path: Path, text: str) -> None:
    """As vim and most editors do: the new text is a new file."""
    new = path.with_name(f".{path.name}.swp")
    new.write_text(text)
    new.replace(path)


def in_two_halves(path: Path, text: str) -> None:
    """A slow writer: for a moment the file is empty, then it ends in the middle of a line."""
    with path.open("w") as file:
        time.sleep(0.05)
        file.write(text[:-40])
        file.flush()
        time.sleep(0.07)
        file.write(text[-40:])


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_a_hundred_edits_under_load_lose_no_request(mesh: RunningMesh, root: Path, client: httpx.Client) -> None:
    path = root / "istio/three-tier/frontend.yaml"
    ways = (in_place, by_renaming, in_two_halves)
    slowest = 0.0
    with Load(mesh.gateway + "/", rate=30) as load:
        for number in range(EDITS):
            ways[number % len(ways)](path, FRONTEND.format(mark=number))
            began = time.monotonic()
            while client.get(mesh.gateway + "/healthz").headers.get("x-edit") != str(number):
                assert time.monotonic() - began < 5, f"edit {number} is not visible"
                time.sleep(0.005)
            slowest = max(slowest, time.monotonic() - began)
    assert load.report is not None
    assert dict(load.report.errors) == {}
    assert set(load.report.statuses) == {200}
    assert slowest < 1.0
    assert status(mesh).problems == ()


def test_a_broken_edit_is_reported_once_and_the_last_good_one_serves(
    mesh: RunningMesh, good: Path, client: httpx.Client
) -> None:
    path = good
    journal = Path(mesh.logs) / "meshtrail.log"
    refused = journal.read_text().count('"event": "refused"')
    for broken, sign in (
        (FRONTEND.format(mark="x").replace("host: frontend", "hots: frontend"), "hots"),
        (FRONTEND.format(mark="x").replace("hosts:", "hosts: ["), "frontend.yaml"),
        (FRONTEND.format(mark="x").replace("host: frontend", "host: nobody"), "nobody"),
    ):
        path.write_text(broken)
        (problem, *_) = eventually(lambda: [p for p in status(mesh).problems if sign in p], what=sign)  # noqa: B023
        assert "istio/three-tier/frontend.yaml" in problem
        assert meshtrail("status", "--name", mesh.name, status=1).stdout.count(sign) >= 1
        assert client.get(mesh.gateway + "/").status_code == 200
        assert client.get(mesh.gateway + "/healthz").headers["x-edit"] == "good"
        path.touch()  # the same broken text again is no news
        path.write_text(FRONTEND.format(mark="good"))
        eventually(lambda: status(mesh).problems == (), what="mended")
        refused += 1
        assert journal.read_text().count('"event": "refused"') == refused
    meshtrail("status", "--name", mesh.name)


@pytest.mark.usefixtures("good")
def test_what_envoy_itself_refuses_leaves_all_as_it_was(mesh: RunningMesh, client: httpx.Client) -> None:
    before = meshtrail("config", "frontend", "--name", mesh.name).stdout
    # A pattern that the reader takes and Envoy's engine finds too large.
    manifest = FRONTEND.format(mark="huge").replace(
        "- headers:", "- match: [{uri: {regex: '" + REGEX + "'}}]\n      headers:"
    )
    refused = meshtrail("apply", "-f", "-", "-n", "meshtrail", "--name", mesh.name, input=manifest, status=2)
    assert "refused the configuration" in refused.stderr
    assert "repetition" in refused.stderr
    assert client.get(mesh.gateway + "/").status_code == 200
    assert client.get(mesh.gateway + "/healthz").headers["x-edit"] == "good"
    assert meshtrail("config", "frontend", "--name", mesh.name).stdout == before


REGEX = "(a{1,900}){1,900}"


@pytest.mark.usefixtures("good")
def test_apply_and_delete_say_what_kubectl_says(mesh: RunningMesh, client: httpx.Client, tmp_path: Path) -> None:
    manifest = tmp_path / "slow.yaml"
    manifest.write_text(
        FRONTEND.format(mark="applied").replace("name: frontend", "name: other").replace('["*"]', "[other.example]")
    )
    apply = ("apply", "-f", str(manifest), "--name", mesh.name)
    delete = ("delete", "-f", str(manifest), "--name", mesh.name)
    line = "virtualservice.networking.istio.io/other"
    other = {"host": "other.example"}
    assert meshtrail(*apply).stdout == f"{line} created\n"
    assert client.get(mesh.gateway + "/", headers=other).headers["x-edit"] == "applied"
    assert meshtrail(*apply).stdout == f"{line} unchanged\n"
    manifest.write_text(manifest.read_text().replace("applied", "again"))
    assert meshtrail(*apply).stdout == f"{line} configured\n"
    assert client.get(mesh.gateway + "/", headers=other).headers["x-edit"] == "again"
    assert meshtrail(*delete).stdout == f"{line} deleted\n"
    assert client.get(mesh.gateway + "/", headers=other).headers["x-edit"] == "good"
    assert "other" in meshtrail(*delete, status=2).stderr


def test_a_changed_deployment_restarts_its_service_and_a_bad_one_goes_back(
    mesh: RunningMesh, root: Path, client: httpx.Client
) -> None:
    path = root / "k8s/base/three-tier/backend.yaml"
    good = path.read_text()
    assert "name: PROPAGATION\n              value: all" in good
    pids = {process.name: process.pid for process in status(mesh).processes}
    path.write_text(
        good.replace("name: PROPAGATION\n              value: all", "name: PROPAGATION\n              value: b3")
    )
    eventually(lambda: "b3" in meshtrail("propagation", "backend", "--name", mesh.name).stdout)
    eventually(lambda: status(mesh).ready)
    after = {process.name: process.pid for process in status(mesh).processes}
    assert {name for name in pids if pids[name] != after[name]} == {"backend"}
    assert client.get(mesh.gateway + "/").status_code == 200

    path.write_text(
        good.replace("name: PROPAGATION\n              value: all", "name: PROPAGATION\n              value: sometimes")
    )
    problem = eventually(lambda: status(mesh).problems)[0]
    assert "backend" in problem
    assert "sometimes" in problem
    assert meshtrail("propagation", "backend", "--name", mesh.name).stdout.split() == ["backend", "b3"]
    assert client.get(mesh.gateway + "/").status_code == 200

    path.write_text(good)
    eventually(lambda: "all" in meshtrail("propagation", "backend", "--name", mesh.name).stdout)
    eventually(lambda: not status(mesh).problems)
