"""Sampling as on Istio: who decides, and what a forwarded decision is worth."""

from __future__ import annotations

import httpx
from tests.e2e.shapes import CHAIN, GATEWAY, chain, request, spans, trace_of
from tests.support.mesh import meshtrail

from meshtrail.local.state import RunningMesh
from meshtrail.reading.jaeger import JaegerClient

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-00"


def test_sampling_0_10_and_100_percent(default_mesh: RunningMesh) -> None:
    mesh = default_mesh
    with JaegerClient(mesh.jaeger) as jaeger:
        # 100 %: a client's sampled traceparent is continued, an unsampled one makes no span.
        trace = trace_of(mesh.jaeger, request(mesh.gateway, headers={"traceparent": SAMPLED}), spans(7))
        assert (trace.trace_id, chain(trace)) == (SAMPLED.split("-")[1], CHAIN)
        unsampled = request(mesh.gateway, headers={"traceparent": UNSAMPLED})

        # 0 %: nothing, and a client's sampled traceparent changes nothing at the gateway.
        meshtrail("apply", "-f", "istio/variants/sampling-0.yaml", "--name", mesh.name)
        wait_until_new_connections(mesh.gateway)
        none = [request(mesh.gateway), request(mesh.gateway, headers={"traceparent": SAMPLED})]

        # 10 %: some, each complete, because the gateway's decision is forwarded with the headers.
        meshtrail("apply", "-f", "istio/variants/sampling-10.yaml", "--name", mesh.name)
        begin_us = max(t.start_us for t in jaeger.find(GATEWAY)) + 1
        with httpx.Client(trust_env=False, timeout=15) as client:
            assert {client.get(mesh.gateway + "/").status_code for _ in range(400)} == {200}

        meshtrail("apply", "-f", "istio/mesh/telemetry.yaml", "--name", mesh.name)
        last = trace_of(mesh.jaeger, request(mesh.gateway), spans(7))
        sampled = jaeger.find(GATEWAY, start_us=begin_us, end_us=last.start_us - 1, limit=1000)
        # 400 tries at 10 %: 3.5 standard deviations of 6 either way.
        assert 19 <= len(sampled) <= 61
        assert {tuple(chain(trace)) for trace in sampled} == {tuple(CHAIN)}
        for mark in (unsampled, *none):
            assert jaeger.find(GATEWAY, tags={"user_agent": mark}) == ()


def wait_until_new_connections(gateway: str) -> None:
    """A changed listener takes new connections at once; connections between the sidecars end with their next answer."""
    for _ in range(3):
        request(gateway)
