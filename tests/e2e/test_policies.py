"""DestinationRules under load: which replica takes a request, which is left out, and how many may wait."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from tests.e2e.routing import (
    NO_TLS,
    Routing,
    at_gateway,
    destination,
    istio,
    now_us,
    only,
    pod_of,
    subsets,
)
from tests.e2e.shapes import BACKEND, CHAIN, FRONTEND, GATEWAY, chain
from tests.support.mesh import eventually, running_mesh

pytestmark = pytest.mark.xdist_group("policies")

V1 = at_gateway("echo", {"route": [destination("echo", "v1")]})
REPLICAS = {"echo-v1-0", "echo-v1-1"}
USERS = [f"user-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def mesh() -> Iterator[Routing]:
    with running_mesh("-f", "tests/e2e/echo.yaml") as running:
        yield Routing(running)


def test_round_robin_takes_replicas_in_turn(mesh: Routing) -> None:
    with mesh.laid(subsets("echo", "v1", loadBalancer={"simple": "ROUND_ROBIN"}), V1):
        pods = [mesh.pod("echo") for _ in range(20)]
    assert set(pods) == REPLICAS
    assert all(one != other for one, other in itertools.pairwise(pods))


def test_random_does_not_take_turns(mesh: Routing) -> None:
    with mesh.laid(subsets("echo", "v1", loadBalancer={"simple": "RANDOM"}), V1):
        pods = [mesh.pod("echo") for _ in range(40)]
    # Turns by chance, or one replica alone: once in 2^38 runs each.
    assert set(pods) == REPLICAS
    assert any(one == other for one, other in itertools.pairwise(pods))


def test_without_a_rule_every_replica_of_every_version_takes_its_share(mesh: Routing) -> None:
    with mesh.laid(at_gateway("echo", {"route": [destination("echo")]})):
        assert {mesh.pod("echo") for _ in range(60)} == {*REPLICAS, "echo-v2"}


@pytest.mark.parametrize(
    "table", [{}, {"ringHash": {"minimumRingSize": 64}}, {"maglev": {"tableSize": 251}}], ids=["", "ring", "maglev"]
)
def test_the_same_header_goes_to_the_same_replica(mesh: Routing, table: dict[str, object]) -> None:
    by_user = {"consistentHash": {"httpHeaderName": "end-user", **table}}
    with mesh.laid(subsets("echo", "v1", loadBalancer=by_user), V1):
        first = {user: mesh.pod("echo", end_user=user) for user in USERS}
        assert set(first.values()) == REPLICAS
        for _ in range(3):
            assert {user: mesh.pod("echo", end_user=user) for user in USERS} == first


def test_a_cookie_holds_a_client_to_its_replica(mesh: Routing) -> None:
    by_cookie = {"consistentHash": {"httpCookie": {"name": "where", "ttl": "60s", "path": "/"}}}
    with mesh.laid(subsets("echo", "v1", loadBalancer=by_cookie), V1):
        seen = set()
        for _ in range(12):
            answer = mesh.get(host="echo")
            cookie = answer.headers["set-cookie"]
            assert "Max-Age=60" in cookie
            assert "path=/" in cookie.lower()
            pod = answer.json()["pod"]
            seen.add(pod)
            assert {mesh.pod("echo", cookie=cookie.split(";")[0]) for _ in range(4)} == {pod}
        assert seen == REPLICAS


def test_hashing_by_a_header_holds_in_a_sidecar_too(mesh: Routing) -> None:
    """frontend forwards end-user, its sidecar chooses the replica of backend by it."""
    replicas = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: backend-more, namespace: meshtrail}
spec:
  replicas: 2
  selector: {matchLabels: {app: backend, version: more}}
  template:
    metadata: {labels: {app: backend, version: more}}
    spec:
      containers:
        - name: backend
          image: meshtrail/backend-python:0.1.0
          ports: [{name: http, containerPort: 8080}]
          env: [{name: DATABASE_SERVICE_URL, value: "http://database:8080"}]
          readinessProbe: {httpGet: {path: /readyz, port: http}}
"""
    rule = istio(
        "DestinationRule",
        "backend",
        host="backend",
        trafficPolicy={"loadBalancer": {"consistentHash": {"httpHeaderName": "end-user"}}},
    )
    with mesh.laid(replicas, rule):
        chosen = {}
        for user in USERS[:8]:
            begin = now_us()
            for _ in range(3):
                assert mesh.get(end_user=user).status_code == 200
            chosen[user] = {pod_of(span) for span in mesh.received(BACKEND, begin, 3)}
    assert {len(pods) for pods in chosen.values()} == {1}
    assert len(set.union(*chosen.values())) > 1


def test_a_replica_that_answers_5xx_is_left_out_and_comes_back(mesh: Routing) -> None:
    policy = {
        "loadBalancer": {"simple": "ROUND_ROBIN"},
        "outlierDetection": {
            "consecutive5xxErrors": 3,
            "interval": "0.1s",
            "baseEjectionTime": "2s",
            "maxEjectionPercent": 100,
        },
    }
    with mesh.laid(subsets("echo", "v1", **policy), V1):
        assert {mesh.pod("echo") for _ in range(4)} == REPLICAS
        mesh.tell("echo-v1-0", "/failing", "1")
        try:
            begin = time.monotonic()
            answers = [mesh.get(host="echo") for _ in range(30)]
            assert time.monotonic() - begin < 2, "too slow to tell: the replica may be back already"
        finally:
            mesh.tell("echo-v1-0", "/failing", "0")
        seen = [(answer.status_code, answer.json()["pod"]) for answer in answers]
        assert Counter(seen) == {(503, "echo-v1-0"): 3, (200, "echo-v1-1"): 27}
        assert seen[6:] == [(200, "echo-v1-1")] * 24
        eventually(lambda: mesh.pod("echo") == "echo-v1-0", what="the replica takes requests again")
        assert time.monotonic() - begin >= 2
        assert {mesh.pod("echo") for _ in range(4)} == REPLICAS


def test_less_than_a_whole_replica_is_never_left_out(mesh: Routing) -> None:
    """Half of two replicas may be left out, and Envoy's default of 10 % is none of them: the mesh warns of it."""
    for percent, failed in (({"maxEjectionPercent": 50}, 1), ({}, 10)):
        outliers = {"consecutive5xxErrors": 1, "interval": "0.1s", "baseEjectionTime": "60s", **percent}
        rule = subsets("echo", "v1", loadBalancer={"simple": "ROUND_ROBIN"}, outlierDetection=outliers)
        with mesh.laid(rule, V1):
            mesh.tell("echo-v1-0", "/failing", "1")
            try:
                assert Counter(mesh.get(host="echo").status_code for _ in range(20)) == {503: failed, 200: 20 - failed}
            finally:
                mesh.tell("echo-v1-0", "/failing", "0")


def test_a_subset_that_no_pod_has_answers_503_and_says_so_in_the_trace(mesh: Routing) -> None:
    with mesh.laid(subsets("echo", "v9"), at_gateway("echo", {"route": [destination("echo", "v9")]})):
        status, trace = mesh.traced(1, host="echo")
    assert status == 503
    assert only(trace, GATEWAY, "server").response_flags == ("UH",)


POOL = istio(
    "DestinationRule",
    "backend",
    host="backend",
    trafficPolicy={"connectionPool": {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}},
)
SLOW_DATABASE = istio(
    "VirtualService",
    "database",
    hosts=["database"],
    http=[
        {
            "fault": {"delay": {"fixedDelay": "0.4s", "percentage": {"value": 100}}},
            "route": [destination("database")],
        }
    ],
)


def at_once(url: str, number: int) -> Counter[int]:
    """The statuses of that many requests at the same time."""
    statuses: list[int] = []
    gate = threading.Barrier(number)

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=15, verify=NO_TLS) as client:
            gate.wait()
            statuses.append(client.get(url).status_code)

    threads = [threading.Thread(target=ask) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(statuses)


def test_what_is_more_than_the_connection_pool_holds_overflows(mesh: Routing) -> None:
    gateway = mesh.mesh.gateway + "/"
    begin = now_us()
    with mesh.laid(POOL, SLOW_DATABASE):
        # One on its way, one waiting; the others are answered 503 by frontend's sidecar, and frontend says 502.
        statuses = at_once(gateway, 8)
        assert statuses[200] >= 1
        assert statuses[502] == 8 - statuses[200] >= 1
        refused = [span for span in mesh.received(FRONTEND, begin, 8) if span.http_status == 502]
        assert len(refused) == statuses[502]
    trace = mesh.trace(refused[0].trace_id)
    assert chain(trace) == CHAIN[:4]
    client = only(trace, FRONTEND, "client")
    assert (client.response_flags, client.http_status, client.error) == (("UO",), 503, True)
    assert at_once(gateway, 8) == {200: 8}


def test_the_limits_hold_on_the_receiving_side_for_callers_without_a_sidecar(mesh: Routing) -> None:
    backend = next(process.address for process in mesh.mesh.processes if process.name == "backend-sidecar")
    begin = now_us()
    with mesh.laid(POOL, SLOW_DATABASE):
        statuses = at_once(f"http://{backend}/api/data", 8)
        assert statuses[200] >= 1
        assert statuses[503] == 8 - statuses[200] >= 1
        refused = [span for span in mesh.received(BACKEND, begin, 8) if span.http_status == 503]
    assert [span.response_flags for span in refused] == [("UO",)] * statuses[503]
