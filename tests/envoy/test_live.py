"""Generated configuration at work in real Envoys: what requests and spans come to, and how a reload goes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.envoy.support import TELEMETRY, virtual_service
from tests.parity import cluster, compare
from tests.parity.stand_in import StandIn, stand_ins

from meshtrail.envoy import generate, write
from meshtrail.mesh import build

BACKEND = {"destination": {"host": "backend"}}
DATABASE = {"destination": {"host": "database"}}
WHOLE = "frontend > backend > database"


@pytest.fixture(scope="module")
def trace_store() -> Iterator[cluster.Store]:
    with cluster.store() as store:
        yield store


@pytest.fixture(scope="module")
def services() -> Iterator[Mapping[str, StandIn]]:
    with stand_ins() as running:
        yield running


def telemetry(text: str) -> str:
    return TELEMETRY.split("spec:")[0] + f"spec: {{tracing: [{{{text}}}]}}"


class Mesh:
    """Requests against a running mesh, and the spans of what was asked so far."""

    def __init__(self, running: cluster.Cluster, store: cluster.Store) -> None:
        self.running = running
        self.store = store

    def get(self, path: str = "/", **headers: str) -> tuple[int, str]:
        return self.running.request(path, {name.replace("_", "-"): value for name, value in headers.items()})

    def spans(self, expected: int) -> list[dict[str, Any]]:
        traces = compare.from_jaeger(cluster.wait_for_spans(self.store, expected))
        return [span for trace in traces for span in trace["spans"]]

    def reload(self, folder: Path, *configurations: str) -> None:
        """Clusters first, then the rest, each proxy having taken it."""
        old = generate(self.running.mesh, self.running.addresses, run_dir=self.running.run_dir)
        self.running.mesh = build(cluster.manifests(folder, *configurations))
        new = generate(self.running.mesh, self.running.addresses, run_dir=self.running.run_dir)
        for name, proxy in new.items():
            folder_of = self.running.run_dir / name
            before = _taken(folder_of)
            previous = {"bootstrap.json": json.dumps(old[name].bootstrap), **old[name].files()}
            changed = len(write(proxy, self.running.run_dir, previous=previous))
            deadline = time.monotonic() + cluster.DEADLINE
            while changed and _taken(folder_of) == before:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def _taken(folder: Path) -> str:
    status, body = cluster.admin(folder, "/stats?filter=update_success$")
    assert status == 200
    return body.decode()


@pytest.fixture
def start(trace_store: cluster.Store, services: Mapping[str, StandIn], tmp_path: Path) -> Iterator[Any]:
    """A function that starts the recorded application with configurations laid over."""
    stack: list[Any] = []

    def starter(*configurations: str, default: str = TELEMETRY) -> Mesh:
        trace_store.clear()
        objects = cluster.manifests(tmp_path, default, *configurations)
        stack.append(cluster.running(objects, services, trace_store))
        return Mesh(stack[-1].__enter__(), trace_store)

    yield starter
    for item in reversed(stack):
        item.__exit__(None, None, None)


def test_routes_by_header_weight_rewrite_redirect_and_direct_answer(start: Any) -> None:
    mesh = start(
        virtual_service(
            [
                {"match": [{"headers": {"x-teapot": {}}}], "directResponse": {"status": 418}},
                {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 307}},
                {"match": [{"uri": {"exact": "/fail"}}], "rewrite": {"uri": "/fine"}, "route": [BACKEND]},
                {"match": [{"method": {"exact": "POST"}}], "directResponse": {"status": 405}},
                {"route": [{**BACKEND, "weight": 50}, {**DATABASE, "weight": 50}]},
            ]
        )
    )
    assert mesh.get("/fail") == (200, WHOLE)
    assert mesh.get("/old") == (502, "frontend > error 307")
    seen = {mesh.get()[1] for _ in range(40)}
    assert seen == {WHOLE, "frontend > database"}
    names = {
        span["operation"]
        for span in mesh.spans(200)
        if (span["service"], span["kind"]) == ("frontend.default", "client")
    }
    # Istio names a weighted route by the VirtualService, its port being the listener's.
    assert "backend:8080/*" in names
    assert "backend.default.svc.cluster.local:8080/fail" in names


def test_a_mirrored_request_makes_no_span(start: Any, services: Mapping[str, StandIn]) -> None:
    mesh = start(virtual_service([{"route": [{"destination": {"host": "database"}}], "mirror": {"host": "backend"}}]))
    assert mesh.get() == (200, "frontend > database")
    deadline = time.monotonic() + cluster.DEADLINE
    while not services["backend"].seen:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert services["backend"].seen["traceparent"].endswith("-00")
    found = mesh.spans(5)
    assert len(found) == 5
    assert not [span for span in found if span["service"] == "backend.default"]


def test_without_sidecar_the_others_still_join(start: Any) -> None:
    """A workload that forwards headers without a sidecar is invisible, and breaks nothing."""
    base = (cluster.HERE / "base.yaml").read_text().split("---")
    backend = next(text for text in base if "kind: Deployment" in text and "name: backend" in text)
    mesh = start(backend.replace("labels: {app: backend,", 'labels: {sidecar.istio.io/inject: "false", app: backend,'))
    assert "backend" not in [path.name for path in mesh.running.run_dir.iterdir()]
    assert mesh.get() == (200, WHOLE)
    found = {(span["service"], span["kind"]) for span in mesh.spans(5)}
    assert ("database.default", "server") in found
    assert not [service for service, _ in found if service.startswith("backend")]


@pytest.mark.parametrize(
    ("text", "spans", "propagated"),
    [
        ("providers: [{name: jaeger}], disableSpanReporting: true", 0, False),
        ("providers: [{name: jaeger}], randomSamplingPercentage: 100, disableContextPropagation: true", 7, False),
        ("providers: [{name: jaeger}], randomSamplingPercentage: 100, match: {mode: CLIENT}", 4, True),
        ("randomSamplingPercentage: 100", 0, False),
    ],
)
def test_telemetry(text: str, spans: int, propagated: bool, start: Any, services: Mapping[str, StandIn]) -> None:
    mesh = start(default=telemetry(text))
    assert mesh.get() == (200, WHOLE)
    assert len(mesh.spans(spans)) == spans
    assert ("traceparent" in services["database"].seen) is propagated


@pytest.mark.matrix  # tests/e2e/test_sampling.py has the same of a whole mesh
def test_ten_percent_is_ten_percent_of_whole_traces(start: Any) -> None:
    """200 requests at 10 %: outside 5 to 38 traces once in ten million runs, and none of them half."""
    mesh = start(default=telemetry("providers: [{name: jaeger}], randomSamplingPercentage: 10"))
    for _ in range(200):
        assert mesh.get()[0] == 200
    cluster.wait_for_spans(mesh.store, 1)
    traces = mesh.store.traces()
    assert 4 <= len(traces) <= 42
    assert {len(trace["spans"]) for trace in traces} == {7}


def test_a_fault_for_half_of_the_requests(start: Any) -> None:
    abort = {"abort": {"httpStatus": 555, "percentage": {"value": 50}}}
    mesh = start(virtual_service([{"fault": abort, "route": [BACKEND]}]))
    answers = {mesh.get() for _ in range(40)}
    assert answers == {(200, WHOLE), (502, "frontend > error 555")}


def test_a_request_in_flight_outlives_a_reload(start: Any, tmp_path: Path) -> None:
    """A change of tracing replaces the listeners; what came before it is answered, what comes after is traced anew."""
    slow = {"match": [{"uri": {"exact": "/slow"}}], "route": [BACKEND]}
    slow["fault"] = {"delay": {"fixedDelay": "2s", "percentage": {"value": 100}}}  # type: ignore[assignment]
    routes = virtual_service([slow, {"route": [BACKEND]}])
    mesh = start(routes)
    answers: list[tuple[int, str]] = []
    request = threading.Thread(target=lambda: answers.append(mesh.get("/slow")))
    request.start()
    deadline = time.monotonic() + cluster.DEADLINE
    while (
        b"downstream_rq_active: 1"
        not in cluster.admin(mesh.running.run_dir / "frontend", "/stats?filter=outbound.*downstream_rq_active")[1]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    mesh.reload(tmp_path, telemetry("providers: [{name: jaeger}], randomSamplingPercentage: 0"), routes)
    mesh.store.clear()
    assert mesh.get() == (200, WHOLE)
    assert not answers
    request.join()
    assert answers == [(200, WHOLE)]
    # The slow one alone was sampled.
    urls = {span["tags"].get("http.url", "") for span in mesh.spans(7)}
    assert all(url.endswith("/slow") for url in urls if url)


def test_a_change_of_provider_holds_from_the_next_request_on(start: Any, tmp_path: Path) -> None:
    mesh = start()
    assert mesh.get()[0] == 200
    assert len(mesh.spans(7)) == 7
    mesh.reload(tmp_path, telemetry("providers: [{name: jaeger-b3}], randomSamplingPercentage: 100"))
    mesh.store.clear()
    assert mesh.get()[0] == 200
    found = mesh.spans(7)
    assert len(found) == 7
    # Zipkin's annotations are on every span, and no hop began a trace of its own.
    assert all(span["logs"] for span in found)
    assert len(mesh.store.traces()) == 1


def test_a_service_entry_has_a_name_and_spans(start: Any, services: Mapping[str, StandIn]) -> None:
    """A host outside the mesh: the sidecar sends there, under its name, and nothing receives a span."""
    base = (cluster.HERE / "base.yaml").read_text().split("---")
    frontend = next(text for text in base if "kind: Deployment" in text and "name: frontend" in text)
    entry = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: api, namespace: default}}
spec:
  hosts: [api.example.com]
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {services["database"].port}}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
"""
    mesh = start(frontend.replace("http://backend:8080", "http://api.example.com"), entry)
    assert mesh.get() == (200, "frontend > database")
    assert services["database"].seen["host"] == "api.example.com"
    (client,) = [s for s in mesh.spans(4) if (s["service"], s["kind"]) == ("frontend.default", "client")]
    assert client["operation"] == "api.example.com:80/*"
    assert client["tags"]["http.url"] == "http://api.example.com/"
