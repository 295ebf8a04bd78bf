"""The mesh changes its header format while it runs, as the README shows."""

from __future__ import annotations

from tests.e2e.shapes import CHAIN, chain, request, spans, trace_of
from tests.support.mesh import meshtrail

from meshtrail.local.state import RunningMesh


def test_a_provider_change_reaches_every_hop(default_mesh: RunningMesh) -> None:
    mesh = default_mesh
    for manifest in ("istio/variants/b3.yaml", "istio/variants/b3-w3c.yaml", "istio/mesh/telemetry.yaml"):
        request(mesh.gateway)  # connections are open when the change comes
        assert "configured" in meshtrail("apply", "-f", manifest, "--name", mesh.name).stdout
        trace = trace_of(mesh.jaeger, request(mesh.gateway), spans(7))
        assert chain(trace) == CHAIN
        # Zipkin's root span id is the low half of the trace id, OpenTelemetry's is not: the tracer did change.
        zipkin = trace.roots[0].span_id == trace.trace_id[16:]
        assert zipkin == ("b3" in manifest)
