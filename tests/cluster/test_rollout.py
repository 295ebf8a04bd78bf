"""Pods go and come while requests flow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.cluster.support import Application, deployed, get
from tests.support.mesh import eventually

from meshtrail.load.plan import plan
from meshtrail.load.report import LoadReport
from meshtrail.load.run import run_load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    with deployed("k8s/overlays/dev") as running:
        yield running


async def load_during(application: Application, *steps: tuple[str, ...]) -> LoadReport:
    """Requests at 30 a second while kubectl carries out the steps, and two seconds longer."""
    stop = asyncio.Event()
    running = asyncio.create_task(run_load(application.target(), plan(rate=30, duration_s=150), stop=stop))
    try:
        for step in steps:
            await asyncio.to_thread(application.kubectl, *step, timeout=100)
        await asyncio.sleep(2)
    finally:
        stop.set()
        report = await running
    return report


def test_rolling_update_under_load_loses_no_request(application: Application, jaeger: str) -> None:
    before = set(application.kubectl("get", "pods", "-o", "name").split())
    restarts = [("rollout", "restart", f"deployment/{name}") for name in ("database", "backend", "frontend")]
    waits = [
        ("rollout", "status", f"deployment/{name}", "--timeout=90s") for name in ("database", "backend", "frontend")
    ]
    report = asyncio.run(load_during(application, *restarts, *waits))
    ready = application.kubectl("get", "pods", "-o", "name", "--field-selector=status.phase=Running").split()
    assert set(ready) - before, "nothing was replaced"
    assert report.sent > 100
    assert (report.errors, {status for status in report.statuses if status != 200}) == ({}, set())
    application.trace(jaeger)


def test_killed_pod_comes_back_and_so_do_the_traces(application: Application, jaeger: str) -> None:
    """Killed at once, without grace: requests fail meanwhile, and nobody has to do anything."""
    (pod,) = backends(application)
    application.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    eventually(application.answers, within=60, what="answers again")
    application.trace(jaeger)
    assert pod not in backends(application)


def backends(application: Application) -> list[str]:
    """The pods of backend, without those that are on their way out."""
    pods = get("pods", "-n", application.namespace, "-l", "app=backend")["items"]
    return [one["metadata"]["name"] for one in pods if "deletionTimestamp" not in one["metadata"]]
