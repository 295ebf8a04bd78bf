"""gateway-missing, outside-mesh, health-checks-traced."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.doctor.mesh import EPOCH_US, Mesh, changed
from tests.doctor.said import look, only, said

from meshtrail.model.span import Scalar, Span


def test_a_gateway_that_makes_no_span_is_missed() -> None:
    finding = only(Mesh(gateway=False).requests(10, every_us=3_000))
    assert (finding.rule, finding.service, finding.level) == ("gateway-missing", "frontend.meshtrail", "warning")
    assert "host shop.example" in finding.text


def test_some_requests_past_a_gateway_that_others_came_through() -> None:
    mesh = Mesh(gateway=False).requests(10, every_us=3_000)
    mesh.gateway = True
    finding = only(mesh.requests(30, every_us=3_000))
    assert (finding.rule, finding.count, finding.share) == ("gateway-missing", 10, 0.25)


@pytest.mark.parametrize(
    "host", ["frontend:8080", "frontend.meshtrail:8080", "frontend.meshtrail.svc.cluster.local", "127.0.0.1:3000"]
)
def test_a_client_inside_the_cluster_needs_no_gateway(host: str) -> None:
    mesh = Mesh(gateway=False, host=host).requests(10, every_us=3_000)
    mesh.gateway, mesh.host = True, "shop.example"
    assert said(mesh.requests(30, every_us=3_000)) == set()


def test_plain_envoys_cannot_be_told_from_gateways() -> None:
    def plain(span: Span) -> Span:
        tags = {key: value for key, value in span.tags.items() if not key.startswith("istio.")}
        tags["node_id"] = span.app
        cluster = str(tags["upstream_cluster"]).rpartition("|")[2].partition(".")[0]
        tags["upstream_cluster"] = cluster or "app"
        return replace(span, service=span.app, name=span.kind, tags=tags)

    for mode in ("all", "none"):
        mesh = Mesh(gateway=False, modes={"backend": mode}).requests(30, every_us=3_000)
        expected = {("headers-dropped", "backend", "database")} if mode == "none" else set()
        assert said(changed(mesh.traces(), plain)) == expected


def test_a_service_without_a_sidecar_is_named() -> None:
    finding = only(Mesh(silent=frozenset({"database"})).requests(10, every_us=3_000))
    assert (finding.rule, finding.service, finding.confidence) == ("outside-mesh", "database.meshtrail", "certain")


def test_one_that_hands_the_headers_on_is_named_and_not_the_one_behind_it() -> None:
    mesh = Mesh(silent=frozenset({"backend"})).requests(10, every_us=3_000)
    named = changed(mesh.traces(), lambda span: span)
    finding = only(named)
    assert (finding.rule, finding.service) == ("outside-mesh", "backend.meshtrail")
    assert "database.meshtrail below it" in finding.text


def test_a_port_that_is_tcp_to_the_mesh_is_found_by_what_is_behind_it() -> None:
    finding = only(Mesh(tcp=frozenset({"backend"})).requests(10, every_us=3_000))
    assert (finding.rule, finding.service, finding.called) == (
        "outside-mesh",
        "frontend.meshtrail",
        "backend.meshtrail",
    )
    assert "appProtocol" in finding.mend


def test_a_host_outside_the_cluster_owes_no_span() -> None:
    def outside(span: Span) -> Span | None:
        if span.app == "database":
            return None
        if span.app == "backend" and span.kind == "client":
            tags = {**span.tags, "upstream_cluster": "outbound|80||books.example.com"}
            return replace(span, name="books.example.com:80/*", tags=tags)
        return span

    assert said(changed(Mesh().requests(10, every_us=3_000).traces(), outside)) == set()


def test_an_unknown_host_is_a_note() -> None:
    def passthrough(span: Span) -> Span | None:
        if span.app == "database":
            return None
        tags = {**span.tags, "upstream_cluster": "PassthroughCluster"}
        return replace(span, tags=tags) if span.app == "backend" and span.kind == "client" else span

    report = look(changed(Mesh().requests(10, every_us=3_000).traces(), passthrough))
    assert report.healthy
    assert [one.service for one in report.findings] == ["PassthroughCluster"]


def sdk_client(span: Span, url: str, process: dict[str, str]) -> Span:
    tags: dict[str, Scalar] = {"http.request.method": "GET", "http.response.status_code": 200, "url.full": url}
    return Span(
        span.trace_id,
        span.span_id[::-1],
        span.span_id,
        span.app,
        "GET",
        "client",
        span.start_us + 10,
        90,
        tags,
        process,
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://database:8080/query", {("outside-mesh", "backend", "database")}),
        ("https://database:8080/query", set()),
        ("http://books.example.com/", set()),
    ],
)
def test_an_http_call_that_the_sidecar_did_not_see(url: str, expected: set[tuple[str, str, str]]) -> None:
    mesh = Mesh({"frontend": ("backend",), "backend": ()}).requests(10, every_us=3_000)
    process = {"telemetry.sdk.name": "opentelemetry"}
    calls = [sdk_client(span, url, process) for span in mesh.spans if span.app == "backend"]
    mesh.spans += calls
    assert said(mesh) == expected


@pytest.mark.parametrize(
    ("path", "agent"), [("/healthz", "curl/8"), ("/readyz/", "curl/8"), ("/", "kube-probe/1.34"), ("/", "GoogleHC/1.0")]
)
def test_health_checks_are_named_with_their_share(path: str, agent: str) -> None:
    mesh = Mesh(agent=agent).requests(10, every_us=3_000, path=path)
    mesh.agent = "curl/8"
    finding = only(mesh.requests(30, every_us=3_000, at_us=EPOCH_US + 9_000_000))
    assert (finding.rule, finding.service, finding.count, finding.share) == (
        "health-checks-traced",
        "frontend.meshtrail",
        10,
        0.25,
    )
    assert ("rewriteAppHTTPProbers" if agent.startswith("kube-probe") else "EnvoyFilter") in finding.mend


def test_paths_that_only_look_like_health_checks_are_left_alone() -> None:
    mesh = Mesh(agent="kube-prober-fan/1")
    for path in ("/healthy-food", "/products/health", "/livezone"):
        mesh.requests(3, every_us=3_000, path=path)
    assert said(mesh) == set()
