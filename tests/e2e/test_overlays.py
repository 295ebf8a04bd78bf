"""What is laid over the application and taken away again: injection, the protocol of a port, the tracing provider."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import pytest
from tests.e2e.routing import Routing, only
from tests.e2e.shapes import BACKEND, CHAIN, DATABASE, FRONTEND, GATEWAY, chain
from tests.support.mesh import ROOT, running_mesh

from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient

# One mesh for all of them: they stay on one worker.
pytestmark = pytest.mark.xdist_group("overlays")

B3 = (ROOT / "istio/variants/b3.yaml").read_text()
TELEMETRY = (ROOT / "istio/mesh/telemetry.yaml").read_text()
NO_LABEL = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshtrail"}}


@pytest.fixture(scope="module")
def mesh() -> Iterator[Routing]:
    with running_mesh("-f", "istio/variants/b3.yaml") as running:
        yield Routing(running)


@pytest.fixture
def whole(mesh: Routing) -> Iterator[Routing]:
    """The mesh, whose traces are whole before and after the test."""
    settled(mesh, CHAIN)
    yield mesh
    settled(mesh, CHAIN)


def settled(mesh: Routing, expected: list[tuple[str, str]]) -> Trace:
    """The trace of a request once requests look like that.

    A connection that was open before a change may carry on as before; services close theirs after a second of silence.
    """
    deadline = time.monotonic() + 15
    seen: list[tuple[str, str]] = []
    with JaegerClient(mesh.mesh.jaeger) as client:
        while time.monotonic() < deadline:
            mark = secrets.token_hex(8)
            assert mesh.get(user_agent=mark).status_code == 200
            # Three times as long as an Envoy keeps a span.
            time.sleep(0.3)
            for trace in client.find(GATEWAY, tags={"user_agent": mark}):
                seen = chain(trace)
                if seen == expected:
                    assert trace.complete
                    return trace
            time.sleep(1)
    raise AssertionError(seen)


def base(service: str, kind: str) -> str:
    """An object of k8s/base/three-tier, in the namespace of the overlay."""
    documents = (ROOT / f"k8s/base/three-tier/{service}.yaml").read_text().split("\n---\n")
    text = next(document for document in documents if f"kind: {kind}\n" in document)
    return text.replace(f"metadata:\n  name: {service}\n", f"metadata:\n  name: {service}\n  namespace: meshtrail\n")


def opted_out(service: str, how: str) -> str:
    entry = '        sidecar.istio.io/inject: "false"\n'
    template = "  template:\n    metadata:\n"
    if how == "label":
        return base(service, "Deployment").replace(f"{template}      labels:\n", f"{template}      labels:\n{entry}")
    return base(service, "Deployment").replace(template, f"{template}      annotations:\n{entry}")


def tcp(service: str) -> str:
    return base(service, "Service").replace("- name: http\n", f"- name: tcp-{service}\n")


def test_a_namespace_without_injection_leaves_the_gateway_s_spans(whole: Routing) -> None:
    assert whole.apply(NO_LABEL) == ["namespace/meshtrail configured"]
    settled(whole, CHAIN[:2])
    assert whole.delete(NO_LABEL) == ["namespace/meshtrail deleted (k8s/base/namespace/namespace.yaml holds again)"]


@pytest.mark.parametrize("how", ["label", "annotation"])
def test_a_workload_without_a_sidecar_is_invisible_and_breaks_nothing(whole: Routing, how: str) -> None:
    with whole.laid(opted_out("backend", how)):
        trace = settled(whole, [*CHAIN[:4], CHAIN[6]])
    # It forwarded what frontend's sidecar sent, so database hangs under frontend.
    assert trace.parent_of(only(trace, DATABASE, "server")) == only(trace, FRONTEND, "client")


@pytest.mark.parametrize(
    ("service", "left", "above"),
    [
        # Whoever follows a port that is not named for HTTP hangs under the last span before it.
        ("frontend", [*CHAIN[:2], *CHAIN[3:]], (FRONTEND, GATEWAY)),
        ("backend", [*CHAIN[:3], *CHAIN[5:]], (BACKEND, FRONTEND)),
        ("database", CHAIN[:5], None),
    ],
)
def test_a_port_named_tcp_makes_no_spans_on_either_side(
    whole: Routing, service: str, left: list[tuple[str, str]], above: tuple[str, str] | None
) -> None:
    with whole.laid(tcp(service)):
        trace = settled(whole, left)
    if above:
        parent = trace.parent_of(only(trace, above[0], "client"))
        assert parent is not None
        assert parent.service == above[1]


def test_delete_takes_one_layer_away_at_a_time(mesh: Routing) -> None:
    """`up -f` laid a B3 provider over the application's own Telemetry."""
    line = "telemetry.telemetry.istio.io/mesh-default"
    again = f"{line} deleted (istio/mesh/telemetry.yaml holds again)"
    assert by_zipkin(settled(mesh, CHAIN))
    assert mesh.delete(B3) == [again]
    assert not by_zipkin(settled(mesh, CHAIN))
    assert mesh.apply(B3) == [f"{line} configured"]
    assert by_zipkin(settled(mesh, CHAIN))
    assert mesh.delete(B3) == [again]
    # Nothing is laid over any more: now the application's own object goes, and with it the spans.
    assert mesh.delete(TELEMETRY) == [f"{line} deleted"]
    for _ in range(3):
        untraced = secrets.token_hex(8)
        assert mesh.get(user_agent=untraced).status_code == 200
    assert mesh.apply(TELEMETRY) == [f"{line} created"]
    assert not by_zipkin(settled(mesh, CHAIN))
    with JaegerClient(mesh.mesh.jaeger) as client:
        assert client.find(GATEWAY, tags={"user_agent": untraced}) == ()


def by_zipkin(trace: Trace) -> bool:
    """Envoy's Zipkin tracer makes the root's id of the lower half of the trace's, its OpenTelemetry tracer does not."""
    return trace.trace_id.endswith(trace.spans[0].span_id)
