"""istio/ on the cluster: what analyze says, the Gateway API's routes, health checks without spans, ids in logs."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.support import Application, build, forwarded, get, kubectl, require_cluster, run
from tests.support.absent import absent
from tests.support.mesh import ROOT, eventually

from meshtrail.reading.jaeger import JaegerClient

pytestmark = pytest.mark.cluster

# Each way to deploy. What concerns the whole mesh lies over the first, where it belongs.
WAYS = [
    ("istio/mesh", *sorted(f"k8s/overlays/{path.name}" for path in (ROOT / "k8s/overlays").iterdir())),
    ("istio/mesh-b3", "k8s/overlays/dev"),
    ("istio/mesh", "k8s/overlays/dev/workloads", "istio/gateway-api/three-tier"),
    ("istio/mesh", "k8s/overlays/staging/workloads", "istio/gateway-api/three-tier", "istio/gateway-api/security"),
    ("istio/mesh", "k8s/overlays/bookinfo/workloads", "istio/gateway-api/bookinfo"),
    ("istio/mesh", "k8s/overlays/helloworld/workloads", "istio/gateway-api/helloworld"),
    ("istio/mesh", "istio/jaeger-ingress"),
    ("istio/mesh", "istio/gateway-api/jaeger-ingress"),
    ("istio/mesh", "istio/ambient"),
]
SINGLE = sorted({(first, one) for first, *others in WAYS[:1] for one in others} | set(WAYS[1:]))
MESH_WIDE = (
    "istio/mesh",
    "istio/mesh-b3",
    "istio/mesh-staging",
    "istio/mesh-production",
    "istio/jaeger-ingress",
    "istio/gateway-api/jaeger-ingress",
)


@pytest.fixture(scope="module")
def istioctl() -> str:
    require_cluster()
    return shutil.which("istioctl") or absent("no istioctl on the PATH")


@pytest.mark.parametrize("way", SINGLE, ids="+".join)
def test_analyze_has_nothing_to_say_about_any_way_to_deploy(
    way: tuple[str, ...], istioctl: str, tmp_path: Path
) -> None:
    # The later one counts, as with kubectl apply.
    objects = {_key(one): one for folder in way for one in build(folder)}
    assert analyze(istioctl, tmp_path, list(objects.values())) == []


def test_analyze_would_have_found_a_mistake(istioctl: str, tmp_path: Path) -> None:
    objects = build("istio/three-tier")
    frontend = next(one for one in objects if _key(one)[1:] == ("VirtualService", "meshtrail", "frontend"))
    frontend["spec"]["gateways"] = ["three-tears"]
    assert [one["code"] for one in analyze(istioctl, tmp_path, objects)] == ["IST0101", "IST0132"]


def test_analyze_has_nothing_to_say_about_what_runs(secured: Application, istioctl: str) -> None:
    # A cluster of one's own has no load balancer that would give the gateway an address.
    found = _analyze(istioctl, "-n", secured.namespace)
    assert [one for one in found if one["code"] != "IST0171"] == []


@pytest.mark.parametrize("folder", MESH_WIDE)
def test_the_api_server_takes_what_concerns_the_whole_mesh(folder: str) -> None:
    require_cluster()
    done = run("apply", "--dry-run=server", "--validate=strict", "-k", folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "istio/variants").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_api_server_takes_every_variant(path: Path, secured: Application) -> None:
    text = path.read_text().replace("namespace: meshtrail", f"namespace: {secured.namespace}")
    done = run("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=text)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def by_gateway_api(secured: Application) -> Iterator[Application]:
    """The same application, asked through the gateway that istiod made of the Gateway."""
    with forwarded(secured.namespace, "service/three-tier-istio", 80) as port:
        yield replace(secured, address=("127.0.0.1", port), gateway=f"three-tier-istio.{secured.namespace}")


@pytest.fixture(params=["ingress-gateway", "gateway-api"])
def entered(request: pytest.FixtureRequest, secured: Application, by_gateway_api: Application) -> Application:
    return secured if request.param == "ingress-gateway" else by_gateway_api


def test_one_complete_trace_through_either_gateway(entered: Application, jaeger: str) -> None:
    trace = entered.trace(jaeger)
    frontend = f"frontend.{entered.namespace}.svc.cluster.local"
    assert [span.name for span in trace.spans[:2]] == [
        f"{frontend}:3000/*",
        f"router outbound|3000||{frontend}; egress",
    ]


def test_health_checks_from_outside_make_no_spans_at_either_gateway(entered: Application, jaeger: str) -> None:
    entered.trace(jaeger)
    started_us = int(time.time() * 1_000_000)
    assert [entered.get("/healthz").status_code for _ in range(5)] == [200] * 5
    # Sent after them, found: so theirs would be there as well.
    entered.trace(jaeger)
    with JaegerClient(jaeger) as client:
        traces = client.find(entered.gateway, start_us=started_us, limit=200)
    urls = {span.tags.get("http.url", "") for trace in traces for span in trace.spans}
    assert any(str(url).endswith("/") for url in urls)
    assert [url for url in urls if "/healthz" in str(url)] == []


def test_the_access_log_has_the_trace_id_of_the_trace(entered: Application, jaeger: str) -> None:
    mesh = get("configmap", "istio", "-n", "istio-system")["data"]["mesh"]
    if "%TRACE_ID%" not in mesh:
        absent("this mesh logs no trace id: istioctl install -f istio/install/demo.yaml")
    trace = entered.trace(jaeger)
    gateway = entered.gateway.partition(".")
    for namespace, workload in ((gateway[2], gateway[0]), (entered.namespace, "database")):
        what = f"a line with trace id {trace.trace_id} in the log of {workload}"
        logged = eventually(lambda: _logged(namespace, workload, trace.trace_id), within=15, what=what)  # noqa: B023
        assert {(one["method"], one["response_code"]) for one in logged} == {("GET", 200)}


def _logged(namespace: str, workload: str, trace_id: str) -> list[dict[str, Any]]:
    text = kubectl("-n", namespace, "logs", f"deployment/{workload}", "-c", "istio-proxy", "--since=5m")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [one for one in lines if one.get("trace_id") == trace_id]


def _key(one: dict[str, Any]) -> tuple[str, str, str, str]:
    meta = one["metadata"]
    return one["apiVersion"], one["kind"], meta.get("namespace", ""), meta["name"]


def analyze(istioctl: str, folder: Path, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What it says about objects, without looking at the cluster."""
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    return _analyze(istioctl, "--all-namespaces", "--use-kube=false", str(file))


def _analyze(istioctl: str, *arguments: str) -> list[dict[str, Any]]:
    command = [istioctl, "analyze", "--output", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout or "null") or []
    assert done.returncode == 0 or found, done.stderr
    return found
