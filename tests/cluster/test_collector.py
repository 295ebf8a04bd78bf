"""The collector between mesh and Jaeger: which traces it keeps, and what its absence does to requests."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from tests.cluster.support import (
    GATEWAY,
    Application,
    Object,
    apply,
    build,
    deployed,
    get,
    kubectl,
    require_cluster,
)
from tests.support.mesh import ROOT, eventually

from meshtrail.load.plan import plan
from meshtrail.load.report import LoadReport
from meshtrail.load.run import run_load
from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

COLLECTOR = "k8s/collector"
DEPLOYMENT = ("-n", "istio-system", "deployment/otel-collector")
ROLLED_OUT = ("rollout", "status", *DEPLOYMENT, "--timeout=90s")
# The decision 10 s after the first span, which a sidecar holds for up to 5 s; a batch; a busy machine.
DECIDED_S = 45.0
SLOW_S = 0.5  # from here on the collector calls a trace slow


def faults(objects: list[Object]) -> list[Object]:
    """The database answers 500 to the user `broken`, and half a second and more late to the user `slow`."""
    for one in objects:
        if one["kind"] == "VirtualService" and one["metadata"]["name"] == "database":
            (plain,) = one["spec"]["http"]
            one["spec"]["http"] = [
                _for_user("broken", {"abort": {"httpStatus": 500, "percentage": {"value": 100}}}, plain),
                _for_user("slow", {"delay": {"fixedDelay": "0.6s", "percentage": {"value": 100}}}, plain),
                plain,
            ]
    return objects


def _for_user(user: str, fault: Object, route: Object) -> Object:
    return {"match": [{"headers": {"end-user": {"exact": user}}}], "fault": fault, "route": route["route"]}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """The application in its otel form, in a mesh that, as itself, sends to the collector.

    Afterwards the mesh sends to Jaeger again.
    """
    require_cluster()
    overlay = tmp_path_factory.mktemp("overlay")
    # Kustomize takes only relative paths.
    k8s = os.path.relpath(ROOT / "k8s", overlay.resolve())
    (overlay / "kustomization.yaml").write_text(
        f"resources: ['{k8s}/overlays/dev-otel']\ncomponents: ['{k8s}/components/collector']\n"
    )
    try:
        apply(*build(COLLECTOR))
        kubectl("apply", "-f", "istio/variants/collector.yaml")
        kubectl(*ROLLED_OUT, timeout=100)
        # Sidecars that start now have never known another provider.
        with deployed(overlay, change=faults) as running:
            yield running
    finally:
        kubectl("apply", "-k", "istio/mesh")
        kubectl("delete", "-k", COLLECTOR, "--ignore-not-found", "--wait=false")


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests that were sent: the User-Agent by which Jaeger knows them, and how many took less than `SLOW_S`."""

    mark: str
    fast: int


def ask(application: Application, count: int, status: int, *, user: str = "anybody") -> Asked:
    """Send `count` requests of a user, each of which answers `status`."""
    mark = f"meshtrail-test/{secrets.token_hex(8)}"
    host, port = application.address
    headers = {"host": application.host, "user-agent": mark, "end-user": user}
    with httpx.Client(base_url=f"http://{host}:{port}", headers=headers, trust_env=False, timeout=15) as client:
        answers = [client.get("/") for _ in range(count)]
    assert {one.status_code for one in answers} == {status}
    return Asked(mark, sum(one.elapsed.total_seconds() < SLOW_S for one in answers))


def kept(client: JaegerClient, asked: Asked) -> tuple[Trace, ...]:
    return client.find(GATEWAY, tags={"user_agent": asked.mark}, limit=200)


def whole(trace: Trace) -> bool:
    """Spans of sidecars and applications in one tree: none waits for a parent that was decided about elsewhere."""
    made_by = {service.partition(".")[0] for service in trace.services}
    return trace.complete and len(trace.spans) >= 10 and made_by >= {"istio-ingressgateway", "frontend", "backend"}


def await_all(client: JaegerClient, asked: Asked, count: int) -> tuple[Trace, ...]:
    """The traces of requests, once Jaeger has `count` of them, each with what the request went through."""

    def looked() -> tuple[Trace, ...]:
        found = kept(client, asked)
        return found if len(found) == count and all(map(whole, found)) else ()

    return eventually(looked, within=DECIDED_S, what=f"{count} whole traces")


def test_errors_and_slow_requests_are_all_kept_and_of_the_rest_a_part(application: Application, jaeger: str) -> None:
    ordinary = ask(application, 100, 200)
    errors = ask(application, 10, 502, user="broken")
    slow = ask(application, 5, 200, user="slow")
    assert (ordinary.fast > 50, slow.fast) == (True, 0)
    with JaegerClient(jaeger) as client:
        await_all(client, errors, 10)
        await_all(client, slow, 5)
        # Asked first, so decided first.
        rest = kept(client, ordinary)
    # One in ten: none of a hundred happens once in 40,000 times, fifty never.
    assert rest
    assert sum(one.duration_us < SLOW_S * 1e6 for one in rest) < 50
    assert all(map(whole, rest))


def test_requests_go_on_without_the_collector_and_spans_come_again(application: Application, jaeger: str) -> None:
    async def away() -> LoadReport:
        stop = asyncio.Event()
        running = asyncio.create_task(run_load(application.target(), plan(rate=20, duration_s=90), stop=stop))
        try:
            await asyncio.to_thread(kubectl, "scale", *DEPLOYMENT, "--replicas=0")
            await asyncio.to_thread(eventually, gone, within=60, what="no collector")
            # Longer than sidecars hold spans back, so that they meet nobody.
            await asyncio.sleep(6)
        finally:
            stop.set()
        return await running

    def gone() -> bool:
        return not get("pods", "-n", "istio-system", "-l", "app=otel-collector")["items"]

    report = asyncio.run(away())
    assert report.ok, report.errors
    assert report.sent > 100
    kubectl("scale", *DEPLOYMENT, "--replicas=1")
    kubectl(*ROLLED_OUT, timeout=100)

    def errors_are_kept() -> bool:
        """Whether all of a few are: a sidecar that could not connect waits a moment before it tries again."""
        asked = ask(application, 3, 502, user="broken")
        with JaegerClient(jaeger) as client:
            try:
                return len(await_all(client, asked, 3)) == 3
            except AssertionError:
                return False

    eventually(errors_are_kept, within=120, what="traces of errors again")
