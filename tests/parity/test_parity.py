"""Every situation recorded on a real Istio, on the local mesh: the same spans, parents, names, tags and headers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.parity import cluster, compare
from tests.parity.stand_in import StandIn, stand_ins

SITUATIONS = sorted(path.stem for path in cluster.RECORDED.glob("*.json"))


@pytest.fixture(scope="module")
def trace_store() -> Iterator[cluster.Store]:
    with cluster.store() as store:
        yield store


@pytest.fixture(scope="module")
def services() -> Iterator[Mapping[str, StandIn]]:
    with stand_ins() as running:
        yield running


def reached(recorded: Mapping[str, Any]) -> tuple[str, ...]:
    """The services that the recorded request came to, and whose headers were noted."""
    if recorded["requests"]["path"] == "/healthz":
        return ()
    return ("frontend",) if recorded["situation"] == "fault-abort" else ("frontend", "backend", "database")


@pytest.mark.parametrize("situation", SITUATIONS)
def test_same_as_istio(
    situation: str, trace_store: cluster.Store, services: Mapping[str, StandIn], tmp_path: Path
) -> None:
    recorded = json.loads((cluster.RECORDED / f"{situation}.json").read_text())
    request = recorded["requests"]
    trace_store.clear()
    with cluster.running(cluster.manifests(tmp_path, recorded["configuration"]), services, trace_store) as mesh:
        answers = [list(mesh.request(request["path"], request["headers"])) for _ in range(request["count"])]
        expected = sum(len(trace["spans"]) for trace in recorded["traces"])
        traces = compare.from_jaeger(cluster.wait_for_spans(trace_store, expected))
    assert answers == recorded["responses"]
    assert compare.shape(traces, request["headers"]) == compare.shape(recorded["traces"], request["headers"])
    for name in reached(recorded):
        expected_headers = compare.headers(recorded["headers_seen"][name])
        if (situation, name) == ("tcp-named-port", "database"):
            # Difference `tcp-host`: the host stays the address that the application called.
            reference = mesh.mesh.workloads[("default", "backend")].references[0]
            expected_headers["host"] = str(mesh.addresses.outbound[("backend", reference.fqdn, reference.port)])
        assert compare.headers(services[name].seen) == expected_headers, name
    assert [name for name, service in services.items() if service.seen] == list(reached(recorded))
