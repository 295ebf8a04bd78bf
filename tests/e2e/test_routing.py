"""VirtualServices at work: versions of a service, timeouts and retries, and what the gateway makes of a request."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping

import pytest
from tests.e2e.routing import (
    ECHO,
    Object,
    Routing,
    at_gateway,
    destination,
    istio,
    now_us,
    only,
    subsets,
    versions,
)
from tests.e2e.shapes import BACKEND, CHAIN, FRONTEND, GATEWAY, chain
from tests.support.mesh import ROOT, Load, eventually, running_mesh

from meshtrail.load.plan import plan
from meshtrail.load.run import run_load
from meshtrail.load.target import resolve

# One mesh for all of them: they stay on one worker.
pytestmark = pytest.mark.xdist_group("routing")

ALWAYS = {"value": 100}
RULE = subsets("backend", "v1", "v2")
TO_ECHO = destination("echo")


def to_backend(*http: Object) -> Object:
    return istio("VirtualService", "backend", hosts=["backend"], http=list(http))


def split(v1: int, v2: int) -> Object:
    return to_backend({"route": [destination("backend", "v1", weight=v1), destination("backend", "v2", weight=v2)]})


def second_backend() -> str:
    """The repository's own Deployment as somebody makes a second version of it, with an environment of its own."""
    text = (ROOT / "k8s/base/three-tier/backend.yaml").read_text().split("\n---\n")[2]
    text = text.replace("metadata:\n  name: backend\n", "metadata:\n  name: backend-v2\n  namespace: meshtrail\n")
    text = text.replace("http://database:8080", "http://database.meshtrail:8080")
    return re.sub(r"version: v1$", "version: v2", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def mesh() -> Iterator[Routing]:
    with running_mesh("-f", "tests/e2e/echo.yaml") as running:
        yield Routing(running)


@pytest.fixture(scope="module")
def versioned(mesh: Routing) -> Iterator[Routing]:
    """The mesh with two versions of backend; each test lays its routes over."""
    with mesh.laid(RULE, second_backend()):
        yield mesh


# ------------------------------------------------------------------------------------------------ versions


def test_traffic_shifts_to_a_second_version_and_away_without_a_failed_request(mesh: Routing) -> None:
    everything = (RULE, split(100, 0), second_backend())

    def serving(number: int = 12) -> set[str]:
        """The versions that took the next requests."""
        return set(versions(mesh.received(BACKEND, now_us(), number)))

    def only(version: str) -> None:
        # Envoy's threads take up what it has acknowledged a moment later.
        eventually(lambda: serving() == {version}, what=f"only {version} serves")

    # No more than a busy machine can answer: it is the change that may cost no request.
    with Load(mesh.mesh.gateway + "/", rate=20) as load:
        assert mesh.apply(*everything) == [
            "destinationrule.networking.istio.io/backend configured",
            "virtualservice.networking.istio.io/backend configured",
            "deployment.apps/backend-v2 created",
        ]
        only("v1")
        mesh.apply(split(50, 50))
        assert serving(24) == {"v1", "v2"}
        mesh.apply(split(0, 100))
        only("v2")
        # All at once, while everything is at v2.
        assert mesh.delete(*everything) == [
            "destinationrule.networking.istio.io/backend deleted (istio/policies/backend.yaml holds again)",
            "virtualservice.networking.istio.io/backend deleted (istio/three-tier/backend.yaml holds again)",
            "deployment.apps/backend-v2 deleted",
        ]
        only("v1")
    assert load.report is not None
    assert dict(load.report.errors) == {}
    assert load.report.answered >= 60


def test_weights_are_kept_within_chance(versioned: Routing) -> None:
    begin = now_us()
    with versioned.laid(split(80, 20)):
        load = plan(rate=None, count=500, concurrency=4)
        report = asyncio.run(run_load(resolve(versioned.mesh.gateway + "/"), load))
    assert (report.answered, dict(report.errors)) == (500, {})
    found = versions(versioned.received(BACKEND, begin, 500))
    # 20 % of 500 within five standard deviations of 9: outside once in two million runs.
    assert 55 <= found["v2"] <= 145
    assert found["v1"] == 500 - found["v2"]


def test_a_header_that_frontend_forwards_chooses_the_version(versioned: Routing) -> None:
    jason = {"headers": {"end-user": {"exact": "jason"}}}
    routes = to_backend(
        {"match": [jason], "route": [destination("backend", "v2")]}, {"route": [destination("backend", "v1")]}
    )
    with versioned.laid(routes):
        for user, version, host in (("jason", "v2", "database.meshtrail:8080"), ("maria", "v1", "database:8080")):
            status, trace = versioned.traced(7, end_user=user)
            assert (status, chain(trace)) == (200, CHAIN)
            assert only(trace, BACKEND, "server").tags["istio.canonical_revision"] == version
            # The name of the span is the service's in either version, the address is what its environment says.
            client = only(trace, BACKEND, "client")
            assert client.name == "database.meshtrail.svc.cluster.local:8080/*"
            assert client.tags["http.url"] == f"http://{host}/query"


def test_a_mirrored_request_reaches_the_second_version_and_makes_no_span(versioned: Routing) -> None:
    received = "cluster.inbound|8080||;.upstream_rq_total"
    before = versioned.counter("backend-v2", received)
    mirrored = {"route": [destination("backend", "v1")], "mirror": {"host": "backend", "subset": "v2"}}
    with versioned.laid(to_backend(mirrored)):
        # Not one more than these: neither at frontend nor at v2, nor at the database that v2 asks.
        status, trace = versioned.traced(7)
        eventually(lambda: versioned.counter("backend-v2", received) == before + 1, what="the mirrored request")
    assert (status, chain(trace)) == (200, CHAIN)
    assert only(trace, BACKEND, "server").tags["istio.canonical_revision"] == "v1"


# ------------------------------------------------------------------------- timeouts, retries and faults


def test_a_timeout_ends_a_slow_answer(mesh: Routing) -> None:
    slow = {"fault": {"delay": {"fixedDelay": "1s", "percentage": ALWAYS}}, "route": [destination("database")]}
    impatient = to_backend({"timeout": "0.2s", "route": [destination("backend")]})
    with mesh.laid(istio("VirtualService", "database", hosts=["database"], http=[slow]), impatient):
        begin = now_us()
        answer = mesh.get()
    assert (answer.status_code, answer.json()) == (502, {"error": "upstream backend failed: answered 504"})
    (server,) = mesh.received(FRONTEND, begin, 1)
    client = only(mesh.trace(server.trace_id), FRONTEND, "client")
    assert (client.http_status, client.response_flags) == (504, ("UT",))
    # Envoy's timers count whole milliseconds, and not all from the same moment.
    assert 150_000 <= client.duration_us < 1_000_000


def test_a_try_that_takes_too_long_is_made_again(mesh: Routing) -> None:
    """The first try for a key takes a second; the second one answers."""
    retries = {"attempts": 2, "perTryTimeout": "0.2s", "retryOn": "5xx"}
    with mesh.laid(
        subsets("echo", "v2"), at_gateway("echo", {"retries": retries, "route": [destination("echo", "v2")]})
    ):
        status, trace = mesh.traced(5, "/once/retried", host="echo")
    assert status == 200
    assert [node.depth for node in trace.walk()] == [0, 1, 2, 1, 2]
    tries = [span for span in trace.spans if (span.service, span.kind) == (GATEWAY, "client")]
    assert [span.http_status for span in tries] == [None, 200]
    assert tries[0].duration_us >= 150_000
    assert {span.service for span in trace.spans} == {GATEWAY, ECHO}


def test_attempts_0_means_no_second_try(mesh: Routing) -> None:
    route = {"retries": {"attempts": 0}, "timeout": "0.2s", "route": [TO_ECHO]}
    with mesh.laid(at_gateway("echo", route)):
        status, trace = mesh.traced(3, "/once/not-retried", host="echo")
    assert status == 504
    assert only(trace, GATEWAY, "server").response_flags == ("UT",)


def test_a_timeout_that_an_envoy_filter_gives_ends_a_slow_answer(mesh: Routing) -> None:
    match = {"context": "GATEWAY", "routeConfiguration": {"vhost": {"route": {"name": "slow"}}}}
    patch = {"operation": "MERGE", "value": {"route": {"timeout": "0.2s"}}}
    impatient = istio(
        "EnvoyFilter", "impatient", configPatches=[{"applyTo": "HTTP_ROUTE", "match": match, "patch": patch}]
    )
    impatient["apiVersion"] = "networking.istio.io/v1alpha3"
    impatient["metadata"]["namespace"] = "istio-system"
    with mesh.laid(impatient, at_gateway("echo", {"name": "slow", "route": [TO_ECHO]})):
        assert mesh.get("/once/patched", host="echo").status_code == 504


def test_faults_come_as_often_as_asked_for(mesh: Routing) -> None:
    """Within five standard deviations of 200 requests."""
    fault = {
        "abort": {"httpStatus": 418, "percentage": {"value": 30}},
        "delay": {"fixedDelay": "1ms", "percentage": {"value": 60}},
    }
    begin = now_us()
    with mesh.laid(at_gateway("echo", {"fault": fault, "route": [TO_ECHO]})):
        statuses = Counter(mesh.get(host="echo").status_code for _ in range(200))
    assert set(statuses) == {200, 418}
    assert 28 <= statuses[418] <= 92
    flags = Counter(flag for span in mesh.received(GATEWAY, begin, 200) for flag in span.response_flags)
    assert flags["FI"] == statuses[418]
    assert 85 <= flags["DI"] <= 155


# -------------------------------------------------------------------------------------------- the gateway

CONDITIONS: Mapping[str, Object] = {
    "method": {"method": {"exact": "POST"}},
    "query": {"queryParams": {"v": {"exact": "2"}}},
    "query-regex": {"queryParams": {"n": {"regex": "[0-9]+"}}},
    "regex": {"uri": {"regex": "/item/[0-9]+"}},
    "case": {"uri": {"prefix": "/Case"}, "ignoreUriCase": True},
    "header": {"headers": {"x-team": {"prefix": "blue"}}},
    "both": {"headers": {"x-a": {}}, "withoutHeaders": {"x-b": {"exact": "off"}}},
    "anonymous": {"uri": {"prefix": "/private"}, "withoutHeaders": {"authorization": {}}},
}
REQUESTS: list[tuple[str, str, dict[str, str]]] = [
    ("method", "/", {"method": "POST"}),
    ("query", "/?v=2", {}),
    ("none", "/?v=22", {}),
    ("query-regex", "/?n=12", {}),
    ("none", "/?n=12a", {}),
    ("regex", "/item/7", {}),
    ("none", "/item/7/more", {}),
    ("case", "/cASE/x", {}),
    ("none", "/other", {}),
    ("header", "/", {"x_team": "blue-1"}),
    ("none", "/", {"x_team": "green"}),
    ("both", "/", {"x_a": "1"}),
    ("both", "/", {"x_a": "1", "x_b": "on"}),
    ("none", "/", {"x_a": "1", "x_b": "off"}),
    ("anonymous", "/private", {}),
    ("none", "/private", {"authorization": "Basic eDp5"}),
]


def test_conditions_choose_the_route(mesh: Routing) -> None:
    def marked(name: str, **route: object) -> Object:
        return {"headers": {"response": {"set": {"x-route": name}}}, "route": [TO_ECHO], **route}

    routes = [marked(name, match=[condition]) for name, condition in CONDITIONS.items()]
    with mesh.laid(at_gateway("echo", *routes, marked("none"))):
        taken = [(mesh.get(path, host="echo", **more).headers["x-route"], path, more) for _, path, more in REQUESTS]
    assert taken == REQUESTS


def test_redirects(mesh: Routing) -> None:
    cases: dict[str, tuple[Object, int, str]] = {
        "/moved": ({"uri": "/new"}, 301, "http://echo.example/new"),
        "/away": ({"authority": "other.example", "redirectCode": 308}, 308, "http://other.example/away"),
        "/safe": ({"scheme": "https", "port": 8443, "redirectCode": 302}, 302, "https://echo.example:8443/safe"),
    }
    routes = [{"match": [{"uri": {"exact": path}}], "redirect": case[0]} for path, case in cases.items()]
    with mesh.laid(at_gateway("echo", *routes)):
        found = {path: mesh.get(path, host="echo") for path in cases}
        assert mesh.get("/else", host="echo").status_code == 404
    assert {path: (answer.status_code, answer.headers["location"]) for path, answer in found.items()} == {
        path: case[1:] for path, case in cases.items()
    }


def test_rewrites(mesh: Routing) -> None:
    regex = {"uriRegexRewrite": {"match": "^/user/([^/]+)/(.*)$", "rewrite": "/\\2/of/\\1"}}
    routes: list[Object] = [
        {"match": [{"uri": {"prefix": "/api/"}}], "rewrite": {"uri": "/"}, "route": [TO_ECHO]},
        {"match": [{"uri": {"prefix": "/user/"}}], "rewrite": regex, "route": [TO_ECHO]},
        {"match": [{"uri": {"exact": "/named"}}], "rewrite": {"authority": "inside"}, "route": [TO_ECHO]},
    ]
    with mesh.laid(at_gateway("echo", *routes)):
        assert mesh.get("/api/v1?x=1", host="echo").json()["path"] == "/v1?x=1"
        assert mesh.get("/user/maria/cart", host="echo").json()["path"] == "/cart/of/maria"
        assert mesh.get("/named", host="echo").json()["headers"]["host"] == "inside"


def test_headers_are_set_added_and_removed_both_ways(mesh: Routing) -> None:
    operations = {
        "request": {"set": {"x-set": "new"}, "add": {"x-add": "more"}, "remove": ["x-drop"]},
        "response": {"set": {"x-mood": "ours"}, "add": {"x-note": "one"}, "remove": ["x-secret"]},
    }
    own = destination("echo", headers={"response": {"add": {"x-note": "two"}}})
    with mesh.laid(at_gateway("echo", {"headers": operations, "route": [own]})):
        answer = mesh.get(host="echo", x_set="old", x_add="some", x_drop="gone", x_keep="kept")
    received = answer.json()["headers"]
    assert (received["x-set"], received["x-keep"]) == ("new", "kept")
    assert received["x-add"] == "some, more"
    assert "x-drop" not in received
    assert answer.headers.get_list("x-mood") == ["ours"]
    assert answer.headers.get_list("x-note") == ["one", "two"]
    assert "x-secret" not in answer.headers
