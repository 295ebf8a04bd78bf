"""The commands that read and load, on a mesh of real Envoys: what a person sees on stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from tests.support.mesh import ROOT, meshtrail, running_mesh

from meshtrail.local.state import RunningMesh


@pytest.fixture(scope="module", params=["plain", pytest.param("otel", marks=pytest.mark.matrix)])
def mesh(request: pytest.FixtureRequest) -> Iterator[RunningMesh]:
    with running_mesh("--form", request.param) as running:
        yield running


@pytest.fixture
def healed(mesh: RunningMesh) -> Iterator[RunningMesh]:
    yield mesh
    for service in ("frontend", "backend", "database"):
        meshtrail("propagation", service, "all", "--name", mesh.name)


def ask(mesh: RunningMesh) -> None:
    httpx.get(f"{mesh.gateway}/", trust_env=False, timeout=10).raise_for_status()


def last_request(mesh: RunningMesh, *, status: int) -> dict[str, Any]:
    whole = json.loads(meshtrail("trace", "--json", "--name", mesh.name, status=status).stdout)
    (request,) = whole["requests"]
    assert isinstance(request, dict)
    return request


def test_the_last_request_is_one_complete_trace(mesh: RunningMesh) -> None:
    ask(mesh)
    drawn = meshtrail("trace", "--name", mesh.name).stdout
    assert "one trace, complete" in drawn
    assert drawn.count(" gateway ") == 2
    assert drawn.count(" sidecar ") == 5


@pytest.mark.parametrize("service", ["frontend", "backend"])
def test_a_service_that_drops_the_headers_is_named_and_heals(healed: RunningMesh, service: str) -> None:
    meshtrail("propagation", service, "none", "--name", healed.name)
    ask(healed)
    drawn = meshtrail("trace", "--name", healed.name, status=1).stdout
    assert f"broken in 2 pieces at {service}.meshtrail" in drawn
    assert f"← the headers end here: {service}.meshtrail" in drawn
    request = last_request(healed, status=1)
    (broken,) = request["breaks"]
    assert (broken["service"], broken["certain"]) == (f"{service}.meshtrail", True)
    made = [span["made_by"] for trace in request["traces"] for span in trace["spans"]]
    assert (made.count("gateway"), made.count("sidecar")) == (2, 5)

    meshtrail("propagation", service, "all", "--name", healed.name)
    ask(healed)
    assert last_request(healed, status=0)["complete"]


def test_two_services_that_drop_the_headers_are_three_pieces(healed: RunningMesh) -> None:
    for service in ("frontend", "backend"):
        meshtrail("propagation", service, "none", "--name", healed.name)
    ask(healed)
    request = last_request(healed, status=1)
    assert request["summary"] == "broken in 3 pieces at frontend.meshtrail, backend.meshtrail"


def test_no_alarm_under_load(mesh: RunningMesh) -> None:
    report = json.loads(
        meshtrail("load", "--rate", "100", "--count", "120", "--json", "--name", mesh.name, status=0).stdout
    )
    assert (report["sent"], report["failed"]) == (120, 0)
    whole = json.loads(meshtrail("trace", "--last", "50", "--json", "--name", mesh.name, status=0).stdout)
    assert len(whole["requests"]) == 50
    assert all(request["complete"] and not request["breaks"] for request in whole["requests"])


def test_the_picture_is_recorded_from_the_running_mesh(healed: RunningMesh, tmp_path: Path) -> None:
    file = tmp_path / "trace.svg"
    subprocess.run(
        [sys.executable, ROOT / "scripts" / "record-picture", "--name", healed.name, "--file", file],
        check=True,
        capture_output=True,
        timeout=60,
        env=os.environ,
    )
    text = "".join(ElementTree.fromstring(file.read_text("utf-8")).itertext()).replace("\xa0", " ")
    assert "one trace, complete" in text
    assert "broken in 2 pieces at backend.meshtrail" in text
