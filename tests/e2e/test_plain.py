"""One complete trace, and how it breaks, with the tracing providers that speak B3. The matrix has the other one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.shapes import CHAIN, FRONTEND, GATEWAY, chain, is_single_path, request, spans, trace_of
from tests.support.mesh import meshtrail, running_mesh

from meshtrail.local.state import RunningMesh
from meshtrail.reading.jaeger import JaegerClient

PROVIDERS = {"b3": ("-f", "istio/variants/b3.yaml"), "b3-w3c": ("-f", "istio/variants/b3-w3c.yaml")}
# Which formats each provider's sidecars read.
READS = {"b3": {"b3"}, "b3-w3c": {"b3", "w3c"}}
# Where the gateway's trace ends when that service forwards nothing that the sidecars read.
ENDS = {"frontend": 3, "backend": 5, "database": 7}


# Of the other one the fast tests have what tests/parity compares with a real Istio.
@pytest.fixture(scope="module", params=["b3", pytest.param("b3-w3c", marks=pytest.mark.matrix)])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def mesh(provider: str) -> Iterator[RunningMesh]:
    with running_mesh(*PROVIDERS[provider]) as running:
        yield running


def test_one_request_is_one_trace_of_seven_spans(mesh: RunningMesh) -> None:
    trace = trace_of(mesh.jaeger, request(mesh.gateway), spans(7))
    assert chain(trace) == CHAIN
    assert trace.complete
    assert is_single_path(trace)
    assert len(trace.request_ids) == 1


@pytest.mark.parametrize("mode", ["none", "b3", "w3c"])
@pytest.mark.parametrize("service", list(ENDS))
def test_a_trace_breaks_exactly_where_the_headers_end(
    mesh: RunningMesh, provider: str, service: str, mode: str
) -> None:
    breaks = mode not in READS[provider] and service != "database"
    try:
        meshtrail("propagation", service, mode, "--name", mesh.name)
        first = trace_of(mesh.jaeger, request(mesh.gateway), spans(ENDS[service] if breaks else 7))
        assert chain(first) == CHAIN[: ENDS[service]] if breaks else CHAIN
        assert first.complete
        if breaks:
            # The rest is a trace of its own, and its root is the CLIENT span of the service that dropped the headers.
            rest = rest_of(mesh.jaeger, first.start_us, f"{service}.meshtrail", 7 - ENDS[service])
            assert rest == CHAIN[ENDS[service] :]
    finally:
        meshtrail("propagation", service, "all", "--name", mesh.name)
    # Healed on the next request.
    assert chain(trace_of(mesh.jaeger, request(mesh.gateway), spans(7))) == CHAIN


def rest_of(jaeger: str, start_us: int, service: str, number: int) -> list[tuple[str, str]]:
    with JaegerClient(jaeger) as client:
        trace = client.wait_for_trace(
            lambda trace: trace.spans[0].service == service and len(trace.spans) == number,
            service=service,
            start_us=start_us,
        )
    assert trace.roots == (trace.spans[0],)
    return chain(trace)


def test_health_checks_make_no_span(mesh: RunningMesh) -> None:
    mark = request(mesh.gateway, "/healthz")
    # What comes later has arrived, so what came before would have too.
    trace_of(mesh.jaeger, request(mesh.gateway), spans(7))
    with JaegerClient(mesh.jaeger) as client:
        assert client.find(GATEWAY, tags={"user_agent": mark}) == ()
        assert [t for t in client.find(FRONTEND, limit=1000) if any("healthz" in s.name for s in t.spans)] == []
        assert client.find(FRONTEND, tags={"user_agent": mark}) == ()
