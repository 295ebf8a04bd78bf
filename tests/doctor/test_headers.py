"""headers-dropped, headers-dropped-partly, format-mismatch: cases, near misses, loads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.doctor.mesh import BOOKINFO, EPOCH_US, THREE_TIER, Mesh, changed
from tests.doctor.said import look, only, said

from meshtrail.model.span import Span

LOADS = (1_000_000, 5_000, 200)
"""Microseconds between two requests: one at a time, a few, dozens at once."""
LATER_US = EPOCH_US + 60_000_000


@pytest.mark.parametrize("every_us", LOADS)
@pytest.mark.parametrize("calls", [THREE_TIER, BOOKINFO], ids=["three-tier", "bookinfo"])
@pytest.mark.parametrize("pods", [1, 3])
def test_a_whole_mesh_gives_no_alarm(calls: dict[str, tuple[str, ...]], every_us: int, pods: int) -> None:
    report = look(Mesh(calls, pods=pods).requests(150, every_us=every_us))
    assert report.findings == ()
    assert report.healthy
    assert report.requests == report.traces == 150


@pytest.mark.parametrize("every_us", LOADS)
@pytest.mark.parametrize("mode", ["none", "b3"])
@pytest.mark.parametrize(
    ("service", "called"),
    [("productpage", "details"), ("reviews", "ratings")],
)
def test_the_service_that_drops_the_headers_is_named(service: str, called: str, mode: str, every_us: int) -> None:
    report = look(Mesh(BOOKINFO, modes={service: mode}, pods=2).requests(120, every_us=every_us))
    rule = "headers-dropped" if mode == "none" else "format-mismatch"
    found = [one for one in report.findings if one.called == f"{called}.meshtrail"]
    assert [(one.rule, one.service, one.level, one.confidence) for one in found] == [
        (rule, f"{service}.meshtrail", "error", "certain")
    ]
    assert found[0].count == 120
    assert found[0].share == 1.0
    assert 1 <= len(found[0].traces) <= 5
    assert {one.service for one in report.findings} == {f"{service}.meshtrail"}
    assert report.requests == 120


@pytest.mark.parametrize("every_us", LOADS)
def test_two_culprits_at_once_are_both_named_and_no_one_else(every_us: int) -> None:
    mesh = Mesh(modes={"frontend": "none", "backend": "b3"}).requests(120, every_us=every_us)
    assert said(mesh) == {("headers-dropped", "frontend", "backend"), ("format-mismatch", "backend", "database")}


def test_a_single_broken_request_is_enough() -> None:
    mesh = Mesh(modes={"backend": "none"})
    mesh.request()
    finding = only(mesh)
    assert (finding.rule, finding.service, finding.confidence) == ("headers-dropped", "backend.meshtrail", "likely")
    assert len(finding.traces) == 2


def test_one_broken_request_among_many_whole_ones() -> None:
    mesh = Mesh().requests(300, every_us=500)
    mesh.modes = {"backend": "none"}
    mesh.request(EPOCH_US + 70_000)
    assert said(mesh) == {("headers-dropped-partly", "backend", "database")}


@pytest.mark.parametrize("every_us", LOADS)
def test_a_timer_of_a_service_that_serves_is_not_accused(every_us: int) -> None:
    mesh = Mesh().requests(150, every_us=every_us)
    # backend asks database for its requests too; frontend never does.
    mesh.timer("backend", "database", 15, every_us=every_us * 10)
    mesh.timer("frontend", "database", 15, every_us=every_us * 10)
    report = look(mesh)
    assert report.healthy
    assert all(one.confidence == "possible" and one.service == "frontend.meshtrail" for one in report.findings)
    if every_us == LOADS[0]:
        assert report.findings == ()


def test_a_timer_during_one_long_poll_is_no_more_than_possible() -> None:
    mesh = Mesh({"frontend": (), "database": ()})
    mesh.request()
    long = changed(mesh.traces(), lambda span: replace(span, duration_us=60_000_000))
    timer = Mesh({"frontend": (), "database": ()}, seed=2).timer("frontend", "database", 50, every_us=1_000_000)
    report = look([*long, *timer.traces()])
    assert report.healthy
    assert [one.confidence for one in report.findings] == ["possible"]


def test_a_job_of_a_service_that_does_not_serve_is_no_break() -> None:
    mesh = Mesh().requests(20, every_us=5_000)
    mesh.calls = {**THREE_TIER, "cron": ("backend",)}
    assert said(mesh.timer("cron", "backend", 20, every_us=5_000)) == set()


def test_the_endpoint_that_drops_them_is_named() -> None:
    mesh = Mesh(modes={("backend", "/orders"): "none"})
    for path in ("/orders", "/users"):
        mesh.requests(60, every_us=3_000, path=path)
    finding = only(mesh)
    assert (finding.rule, finding.service) == ("headers-dropped-partly", "backend.meshtrail")
    assert finding.share == 0.5
    assert "requests to /orders" in finding.text


def test_the_version_that_drops_them_is_named() -> None:
    old = Mesh(seed=1).requests(60, every_us=3_000).traces()
    new = Mesh(seed=2, modes={"backend": "none"}).requests(60, every_us=3_000).traces()

    def v2(span: Span) -> Span:
        tags = dict(span.tags)
        if span.app == "backend":
            tags |= {
                "istio.canonical_revision": "v2",
                "node_id": str(tags["node_id"]).replace("backend-0", "backend-v2"),
            }
        return replace(span, tags=tags)

    finding = only([*old, *changed(new, v2)])
    assert finding.rule == "headers-dropped-partly"
    assert "version v2" in finding.text


def test_no_endpoint_in_particular_is_said_too() -> None:
    whole = Mesh(seed=1).requests(60, every_us=3_000).traces()
    broken = Mesh(seed=2, modes={"backend": "none"}).requests(60, every_us=3_000).traces()
    finding = only([*whole, *broken])
    assert finding.rule == "headers-dropped-partly"
    assert "on no endpoint, version or pod in particular" in finding.text


@pytest.mark.parametrize("every_us", [1_000_000, 20_000])
def test_calls_after_the_answer_are_found(every_us: int) -> None:
    mesh = Mesh(modes={"backend": "after"}).requests(150, every_us=every_us)
    assert ("headers-dropped", "backend", "database") in said(mesh)
    assert said(mesh) == {("headers-dropped", "backend", "database")}


def test_calls_after_the_answer_that_are_joined_are_no_break() -> None:
    mesh = Mesh().requests(100, every_us=1_000_000)

    def early(span: Span) -> Span:
        return replace(span, duration_us=500) if span.app in ("frontend", "backend") and span.kind == "server" else span

    assert said(changed(mesh.traces(), early)) == set()


def test_a_break_that_began_meanwhile_says_since_when() -> None:
    mesh = Mesh().requests(30, every_us=20_000)
    mesh.modes = {"backend": "none"}
    mesh.requests(30, every_us=20_000, at_us=LATER_US)
    finding = only(mesh)
    assert (finding.rule, finding.level, finding.share) == ("headers-dropped", "error", 1.0)
    assert "30 calls before it were whole" in finding.text


def test_a_break_that_was_mended_is_a_note() -> None:
    mesh = Mesh(modes={"backend": "none"}).requests(30, every_us=20_000)
    mesh.modes = {}
    mesh.requests(30, every_us=20_000, at_us=LATER_US)
    report = look(mesh)
    assert report.healthy
    assert "mended since" in report.findings[0].text


def test_whole_requests_to_another_endpoint_mend_nothing() -> None:
    mesh = Mesh(modes={"backend": "none"}).requests(30, every_us=20_000, path="/orders")
    mesh.modes = {}
    mesh.requests(30, every_us=20_000, at_us=LATER_US, path="/users")
    assert only(mesh).level == "error"


@pytest.mark.parametrize("sampling", [0.5, 0.1])
def test_below_full_sampling_the_service_is_named_all_the_same(sampling: float) -> None:
    number = int(120 / sampling)
    mesh = Mesh(modes={"backend": "none"}, sampling=sampling).requests(number, every_us=50_000)
    finding = only(mesh)
    assert (finding.rule, finding.service, finding.level) == ("headers-dropped", "backend.meshtrail", "error")
    assert said(Mesh(sampling=sampling).requests(number, every_us=50_000)) == set()


def test_below_full_sampling_an_sdk_makes_it_certain() -> None:
    mesh = Mesh(otel=True, modes={"backend": "none"}, sampling=0.05).requests(800, every_us=5_000)
    calls = [
        replace(
            span,
            span_id=span.span_id[::-1],
            parent_id=span.span_id,
            kind="client",
            tags={
                "http.request.method": "GET",
                "http.response.status_code": 200,
                "url.full": "http://database:8080/query",
                "span.kind": "client",
            },
        )
        for span in mesh.spans
        if span.service == "backend"
    ]
    mesh.spans += calls
    finding = only(mesh)
    assert (finding.service, finding.level, finding.confidence) == ("backend.meshtrail", "error", "certain")


@pytest.mark.parametrize("every_us", [20_000, 1_000_000])
def test_a_consumer_whose_calls_fall_into_requests_by_chance_is_not_accused(every_us: int) -> None:
    mesh = Mesh({"backend": (), "database": ()}).requests(60, every_us=every_us)
    other = Mesh({"backend": (), "database": ()}, seed=5)
    for _ in range(60):
        at_us = EPOCH_US + other.random.randrange(60 * every_us)
        other.call("backend", "database", other.fresh(), at_us, "/message", 0)
    assert look([*mesh.traces(), *other.traces()]).healthy


def test_a_consumer_that_also_serves_is_no_more_than_possible() -> None:
    """Calls at random times, none during a request: messages, most likely."""
    mesh = Mesh({"backend": (), "database": ()}).requests(30, every_us=1_000_000)
    other = Mesh({"backend": (), "database": ()}, seed=5)
    for beat in range(40):
        other.call("backend", "database", other.fresh(), EPOCH_US + 500_000 + beat * 700_123 + beat**3, "/message", 0)
    report = look([*mesh.traces(), *other.traces()])
    assert report.healthy


def test_an_instrumented_service_is_one_request_not_two() -> None:
    mesh = Mesh(otel=True, modes={"backend": "none"}).requests(40, every_us=3_000)
    finding = only(mesh)
    assert (finding.rule, finding.service, finding.count) == ("headers-dropped", "backend.meshtrail", 40)
    assert "OTEL_PROPAGATORS" in finding.mend


def test_an_sdk_that_does_not_read_the_sidecars_headers_is_named() -> None:
    mesh = Mesh(otel=True).requests(40, every_us=3_000)

    def own_trace(span: Span) -> Span:
        if span.service == "database":
            return replace(span, trace_id=span.trace_id[::-1], parent_id=None)
        return span

    spans = [own_trace(span) for span in mesh.spans]
    mesh.spans = spans
    finding = only(mesh)
    assert (finding.rule, finding.service) == ("format-mismatch", "database.meshtrail")
    assert "OTEL_PROPAGATORS" in finding.mend
    assert look(mesh).requests == 40


def test_an_sdk_that_is_asked_past_its_sidecar_makes_roots_by_right() -> None:
    mesh = Mesh(otel=True).requests(40, every_us=100_000)
    beside = Mesh(otel=True, seed=3)
    for number in range(5):
        beside.sdk(
            beside.fresh(),
            beside.id(),
            None,
            "database",
            EPOCH_US + 50_000 * number,
            EPOCH_US + 50_000 * number + 90,
            "/",
        )
    assert said([*mesh.traces(), *beside.traces()]) == set()


def test_proxies_of_two_formats_are_told_from_an_application_that_drops_headers() -> None:
    mesh = Mesh().requests(40, every_us=3_000)
    spans = []
    for span in mesh.spans:
        tags = dict(span.tags)
        if span.maker != "gateway":
            del tags["otel.scope.name"]
            parent = None if span.app == "frontend" and span.kind == "server" else span.parent_id
            span = replace(span, trace_id=span.trace_id[::-1], parent_id=parent, tags=tags)
        spans.append(span)
    mesh.spans = spans
    finding = only(mesh)
    assert (finding.rule, finding.service) == ("format-mismatch", "frontend.meshtrail")
    assert "istio-ingressgateway.istio-system speaks W3C" in finding.text
    assert "frontend.meshtrail B3" in finding.text


def test_a_client_with_a_trace_of_its_own_is_no_break() -> None:
    mesh = Mesh().requests(20, every_us=3_000)

    def from_outside(span: Span) -> Span:
        return replace(span, parent_id="b7ad6b7169203331") if span.parent_id is None else span

    assert said(changed(mesh.traces(), from_outside)) == set()
