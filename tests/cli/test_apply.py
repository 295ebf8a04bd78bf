"""`meshtrail apply`, `delete` and `config` against a running mesh: files, folders, kustomizations, standard input."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from tests.support.mesh import meshtrail

from meshtrail.local.state import RunningMesh

ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s}
spec:
  hosts: [%s.example]
  gateways: [three-tier]
  http: [{directResponse: {status: 418, body: {string: "%s"}}}]
"""


@pytest.fixture
def mesh(default_mesh: RunningMesh) -> RunningMesh:
    return default_mesh


def ask(mesh: RunningMesh, host: str) -> tuple[int, str]:
    answer = httpx.get(mesh.gateway + "/", headers={"host": host}, trust_env=False)
    return answer.status_code, answer.text


@pytest.mark.parametrize("way", ["file", "folder", "kustomization", "input"])
def test_manifests_come_from_everywhere_and_go(mesh: RunningMesh, way: str, tmp_path: Path) -> None:
    (tmp_path / "route.yaml").write_text(ROUTE % (way, way, "short"))
    if way == "kustomization":
        (tmp_path / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [route.yaml]\n"
        )
    options = {
        "file": ("-f", str(tmp_path / "route.yaml")),
        "folder": ("-f", str(tmp_path)),
        "kustomization": ("-k", str(tmp_path)),
        "input": ("-f", "-"),
    }[way]
    text = ROUTE % (way, way, "short")
    done = meshtrail("apply", *options, "--name", mesh.name, input=text)
    assert done.stdout == f"virtualservice.networking.istio.io/{way} created\n"
    assert ask(mesh, f"{way}.example") == (418, "short")
    done = meshtrail("delete", *options, "--name", mesh.name, input=text)
    assert done.stdout == f"virtualservice.networking.istio.io/{way} deleted\n"
    assert ask(mesh, f"{way}.example")[0] == 200


def test_one_bad_document_and_nothing_is_applied(mesh: RunningMesh, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(ROUTE % ("fine", "fine", "x"))
    bad.write_text(ROUTE.replace("418", "4180") % ("wrong", "wrong", "x"))
    refused = meshtrail("apply", "-f", str(good), "-f", str(bad), "--name", mesh.name, status=2)
    assert refused.stderr.startswith(
        f"error: {bad}:7: VirtualService meshtrail/wrong: spec.http[0].directResponse.status"
    )
    assert ask(mesh, "fine.example")[0] == 200


def test_what_is_not_carried_out_is_an_error_or_a_warning(mesh: RunningMesh) -> None:
    text = ROUTE.replace("http: [{", "http: [{corsPolicy: {allowOrigins: [{exact: x}]}, ") % ("cors", "cors", "x")
    refused = meshtrail("apply", "-f", "-", "--name", mesh.name, input=text, status=2)
    assert "corsPolicy" in refused.stderr
    done = meshtrail("apply", "-f", "-", "--lenient", "--name", mesh.name, input=text)
    assert "warning" in done.stderr
    assert "corsPolicy" in done.stderr
    meshtrail("delete", "-f", "-", "--lenient", "--name", mesh.name, input=text)


def test_config_prints_what_was_generated(mesh: RunningMesh) -> None:
    clusters = json.loads(meshtrail("config", "frontend", "clusters", "--name", mesh.name).stdout)
    assert "outbound|8080||backend.meshtrail.svc.cluster.local" in [cluster["name"] for cluster in clusters]
    everything = json.loads(meshtrail("config", "gateway", "--json", "--name", mesh.name).stdout)
    assert list(everything) == ["bootstrap", "listeners", "routes", "clusters"]
    assert len(everything["listeners"]) == 1
    refused = meshtrail("config", "nobody", "--name", mesh.name, status=2)
    assert "frontend, backend, database" in refused.stderr.replace("istio-ingressgateway, ", "")


def test_propagation_shows_all_or_one_and_sets(mesh: RunningMesh) -> None:
    assert meshtrail("propagation", "--name", mesh.name).stdout.split() == [
        "frontend", "all", "backend", "all", "database", "all",
    ]  # fmt: skip
    assert meshtrail("propagation", "backend", "none", "--name", mesh.name).stdout.split() == ["backend", "none"]
    assert meshtrail("propagation", "backend", "--name", mesh.name).stdout.split() == ["backend", "none"]
    meshtrail("propagation", "backend", "all", "--name", mesh.name)
