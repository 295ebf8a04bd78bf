"""Autoscaling and disruptions: figures arrive, load makes more pods, and one pod at a time may go, unnoticed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.cluster.support import Application, get, run
from tests.support.mesh import Load, eventually

pytestmark = pytest.mark.cluster


def _autoscaler(staging: Application, service: str) -> dict[str, Any]:
    """The status of an autoscaler, its conditions by type."""
    status = get("hpa", service, "-n", staging.namespace)["status"]
    return {**status, "conditions": {one["type"]: one["status"] for one in status.get("conditions", [])}}


def _ready(staging: Application, service: str) -> list[str]:
    """Pods of a service that are ready and not on their way out."""
    pods = get("pods", "-n", staging.namespace, "-l", f"app={service}")["items"]
    return [
        pod["metadata"]["name"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
    ]


def _evict(staging: Application, pod: str) -> tuple[int, str]:
    path = f"/api/v1/namespaces/{staging.namespace}/pods/{pod}/eviction"
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": staging.namespace}}
    done = run("create", "--raw", path, "-f", "-", input=json.dumps(body))
    return done.returncode, done.stderr


def test_a_drain_takes_one_pod_of_a_service_at_a_time_and_no_request_fails(staging: Application) -> None:
    eventually(lambda: len(_ready(staging, "backend")) >= 2, within=60, what="two pods of backend")
    before = _ready(staging, "backend")
    with Load(staging.target(), rate=20) as load:
        first, second = (_evict(staging, pod) for pod in before[:2])
        assert first[0] == 0, first
        assert second[0] != 0
        assert "disruption budget" in second[1]
        eventually(
            lambda: before[0] not in _ready(staging, "backend") and len(_ready(staging, "backend")) >= len(before),
            within=60,
            what="another pod in its place",
        )
        # The old one has 20 s to go, and is served from until then.
        eventually(
            lambda: run("-n", staging.namespace, "get", "pod", before[0]).returncode, within=40, what="it is gone"
        )
    assert load.report is not None
    assert load.report.ok, load.report.errors
    assert load.report.sent > 100


@pytest.mark.parametrize("service", ["frontend", "backend", "database"])
def test_every_autoscaler_has_figures(staging: Application, service: str) -> None:
    active = {"AbleToScale": "True", "ScalingActive": "True"}
    eventually(lambda: active.items() <= _autoscaler(staging, service)["conditions"].items(), within=90, what="figures")


def test_load_makes_more_pods(staging: Application) -> None:
    """A pod requests 50m of CPU, the target is 80 % of that: two of frontend are too few for 60 requests a second."""
    with Load(staging.target(), rate=60):
        eventually(lambda: len(_ready(staging, "frontend")) > 2, within=100, what="more than two pods of frontend")
    assert 2 < _autoscaler(staging, "frontend")["desiredReplicas"] <= 6
