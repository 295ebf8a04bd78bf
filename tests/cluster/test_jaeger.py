"""Jaeger as k8s/jaeger deploys it: spans in, traces out, what is kept when pods go, what is deleted in time."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from tests.cluster.support import (
    Application,
    Object,
    apply,
    build,
    forwarded,
    get,
    jaeger_url,
    kubectl,
    namespace,
    relocate,
    wait_ready,
)
from tests.support.mesh import eventually

from meshtrail.errors import MeshtrailError
from meshtrail.load.plan import plan
from meshtrail.load.report import LoadReport
from meshtrail.load.run import run_load
from meshtrail.reading.jaeger import JaegerClient

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

# Pods that would not be admitted under the standard are refused.
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted", "istio-injection": "disabled"}
COLLECTOR = "service/jaeger-collector"
LATE_S = 40.0  # a busy machine, a sidecar's 5 s, and a collector's batch


def moved(kustomization: str, name: str) -> list[Object]:
    """The objects of a kustomization for istio-system, in the namespace `name`; content with little processor time."""
    objects = relocate(build(kustomization), name, source="istio-system")
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet"):
            for container in one["spec"]["template"]["spec"]["containers"]:
                container["resources"]["requests"]["cpu"] = "10m"
    return objects


def otlp(trace_id: str) -> Object:
    """An OTLP request with one span."""
    now = time.time_ns()
    span = {
        "traceId": trace_id,
        "spanId": secrets.token_hex(8),
        "name": "GET /",
        "kind": 2,
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 5_000_000),
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}


def zipkin(trace_id: str) -> list[Object]:
    """A Zipkin request with one span."""
    endpoint = {"serviceName": "shop"}
    times = {"timestamp": time.time_ns() // 1000, "duration": 5000}
    return [{"traceId": trace_id, "id": secrets.token_hex(8), "name": "get", "localEndpoint": endpoint, **times}]


def send(name: str, port: int, path: str, body: Callable[[str], object]) -> str:
    """Send one span to the collector of a namespace; its trace id."""
    trace_id = secrets.token_hex(16)
    with forwarded(name, COLLECTOR, port) as local:
        answer = httpx.post(f"http://127.0.0.1:{local}{path}", json=body(trace_id), trust_env=False, timeout=15)
    assert answer.status_code in (200, 202), answer.text
    return trace_id


def send_both(name: str) -> list[str]:
    """One trace over OTLP and one over Zipkin; their ids."""
    return [send(name, 4318, "/v1/traces", otlp), send(name, 9411, "/api/v2/spans", zipkin)]


def await_traces(name: str, ids: list[str], *, present: bool = True) -> None:
    """Until the query service of a namespace knows the traces and their service, or none of them."""
    with forwarded(name, "service/tracing", 80) as local, JaegerClient(f"http://127.0.0.1:{local}/jaeger") as client:

        def looked() -> bool:
            try:
                known = [client.trace(one) is not None for one in ids] + ["shop" in client.services()]
            except MeshtrailError:
                # Its storage is only just back.
                return False
            return set(known) == {present}

        eventually(looked, within=LATE_S, what=f"{ids} {'found' if present else 'gone'} in {name}")


def test_all_in_one_takes_every_format_within_the_restricted_standard() -> None:
    with namespace("mt-jaeger", **RESTRICTED) as name:
        apply(*moved("k8s/jaeger/all-in-one", name))
        wait_ready(name)
        await_traces(name, send_both(name))


def test_requests_go_on_without_jaeger_and_traces_come_back(staging: Application) -> None:
    """The mesh's own Jaeger, whichever it is: its pods are deleted under load."""
    selector = get("service", "jaeger-collector", "-n", "istio-system")["spec"]["selector"]
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    pods = ("-n", "istio-system", "pods", "-l", labels)
    before = kubectl("get", *pods, "-o", "name").split()
    assert before

    async def away() -> LoadReport:
        stop = asyncio.Event()
        running = asyncio.create_task(run_load(staging.target(), plan(rate=20, duration_s=90), stop=stop))
        try:
            await asyncio.to_thread(kubectl, "delete", *pods, "--grace-period=1", timeout=60)
            # Longer than sidecars hold spans back, so that they meet nobody.
            await asyncio.sleep(6)
        finally:
            stop.set()
        return await running

    report = asyncio.run(away())
    assert report.ok, report.errors
    assert report.sent > 100
    for kind, name in ("deployment", "jaeger"), ("deployment", "jaeger-collector"), ("deployment", "jaeger-query"):
        if get(kind, "-n", "istio-system", f"--field-selector=metadata.name={name}")["items"]:
            kubectl("-n", "istio-system", "rollout", "status", f"{kind}/{name}", "--timeout=90s", timeout=100)
    assert not set(before) & set(kubectl("get", *pods, "-o", "name").split())
    # The address of before led to a pod that is gone.
    with jaeger_url() as jaeger:
        assert len(staging.trace(jaeger).spans) == 7


@contextmanager
def production() -> Iterator[str]:
    """k8s/jaeger/production on the single node of k8s/jaeger/opensearch, in a namespace of its own."""
    with namespace("mt-jaeger", **RESTRICTED) as name:
        apply(*moved("k8s/jaeger/opensearch", name))
        kubectl(
            *("-n", name, "create", "secret", "generic", "jaeger-storage"),
            *("--from-literal=username=jaeger", f"--from-literal=password={secrets.token_urlsafe(24)}"),
        )
        wait_ready(name)
        objects = moved("k8s/jaeger/production", name)
        (settings,) = (
            one
            for one in objects
            if one["kind"] == "ConfigMap" and one["metadata"]["name"].startswith("jaeger-storage")
        )
        # There is no second node to hold a copy.
        settings["data"]["replicas"] = "0"
        apply(*objects)
        wait_ready(name)
        yield name


def clean(name: str, keep_days: int) -> None:
    """Run the CronJob of retention once, now."""
    job = kubectl(
        *("-n", name, "create", "job", f"clean-{keep_days}", "--from=cronjob/jaeger-retention"),
        *("--dry-run=client", "-o", "json"),
    )
    made = json.loads(job)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    (days,) = (one for one in container["env"] if one["name"] == "KEEP_DAYS")
    if keep_days != 7:
        days.pop("valueFrom")
        days["value"] = str(keep_days)
    made["metadata"]["namespace"] = name
    apply(made)
    kubectl("-n", name, "wait", "--for=condition=Complete", f"job/clean-{keep_days}", "--timeout=60s", timeout=70)


def indices(name: str) -> set[str]:
    """The indices of the storage, as seen by OpenSearch."""
    with forwarded(name, "service/opensearch", 9200) as local:
        answer = httpx.get(f"http://127.0.0.1:{local}/_cat/indices/*jaeger*?h=index", trust_env=False, timeout=15)
    return set(answer.text.split())


def test_production_keeps_traces_over_restarts_and_deletes_them_in_time() -> None:
    with production() as name:
        ids = send_both(name)
        await_traces(name, ids)
        today = {f"mesh-jaeger-{kind}-{time.strftime('%Y-%m-%d', time.gmtime())}" for kind in ("span", "service")}
        assert indices(name) == today

        # The storage first, which has only its volume to remember by, then Jaeger: in this order nothing has to wait
        # for kubelet's patience with what crashes.
        for app in "opensearch", "jaeger-collector,jaeger-query":
            kubectl("-n", name, "delete", "pods", "-l", f"app in ({app})", "--grace-period=20", timeout=120)
            wait_ready(name)
            await_traces(name, ids)
        await_traces(name, send_both(name))

        clean(name, 7)
        assert indices(name) == today
        # Not even today is kept: what holds for any day that is too old.
        clean(name, 0)
        assert indices(name) == set()
        await_traces(name, ids, present=False)
