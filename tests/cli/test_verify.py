"""`meshtrail verify` on a running mesh: whole traces pass, broken and absent ones do not, and it says why."""

from __future__ import annotations

import pytest
from tests.support.mesh import meshtrail

from meshtrail.local.state import RunningMesh


@pytest.fixture
def mesh(default_mesh: RunningMesh) -> RunningMesh:
    return default_mesh


def verify(mesh: RunningMesh, *options: str, status: int) -> str:
    done = meshtrail("verify", "--url", mesh.gateway, "--jaeger", mesh.jaeger, *options, status=status)
    return done.stdout + done.stderr


def test_whole_trace(mesh: RunningMesh) -> None:
    said = verify(mesh, "--service", "database.meshtrail", "--spans", "7", status=0)
    assert "verified: one trace, complete, 7 spans, 4 services" in said


def test_sees_its_own_requests_only(mesh: RunningMesh) -> None:
    """What came before, broken or not, does not count."""
    meshtrail("propagation", "frontend", "none", "--name", mesh.name)
    try:
        verify(mesh, "--service", "database.meshtrail", "--within", "2", status=1)
    finally:
        meshtrail("propagation", "frontend", "all", "--name", mesh.name)
    verify(mesh, "--requests", "1", "--spans", "7", status=0)


def test_broken_trace_names_the_service(mesh: RunningMesh) -> None:
    meshtrail("propagation", "backend", "none", "--name", mesh.name)
    try:
        # By itself: of requests that overlap it may be ambiguous which pieces are whose.
        said = verify(mesh, "--requests", "1", "--service", "database.meshtrail", "--within", "4", status=1)
    finally:
        meshtrail("propagation", "backend", "all", "--name", mesh.name)
    assert "not verified: the trace is broken in 2 pieces at backend.meshtrail" in said


def test_too_small_a_trace(mesh: RunningMesh) -> None:
    said = verify(mesh, "--spans", "8", "--service", "reviews.meshtrail", "--within", "2", status=1)
    assert "7 spans, at least 8 were expected" in said
    assert "does not touch reviews.meshtrail" in said


def test_not_sampled(mesh: RunningMesh) -> None:
    meshtrail("apply", "-f", "istio/variants/sampling-0.yaml", "--name", mesh.name)
    try:
        said = verify(mesh, "--within", "1", status=1)
    finally:
        meshtrail("delete", "-f", "istio/variants/sampling-0.yaml", "--name", mesh.name)
    assert "not verified: no trace of these requests" in said


def test_requests_that_fail(mesh: RunningMesh) -> None:
    done = meshtrail("verify", "--url", f"{mesh.gateway}/nowhere", "--jaeger", mesh.jaeger, status=1)
    assert "404 x 20" in done.stdout
    assert "not every request was answered" in done.stderr


def test_no_jaeger(mesh: RunningMesh) -> None:
    done = meshtrail("verify", "--url", mesh.gateway, "--jaeger", mesh.gateway, status=2)
    assert "error:" in done.stderr


def test_remote_gateway_needs_leave(mesh: RunningMesh) -> None:
    done = meshtrail("verify", "--url", "http://192.0.2.1/", "--jaeger", mesh.jaeger, status=2)
    assert "--allow-remote" in done.stderr
