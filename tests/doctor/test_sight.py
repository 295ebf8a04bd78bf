"""instrumented-twice, clock-skew, name-collision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.doctor.mesh import BOOKINFO, EPOCH_US, NAMESPACE, Mesh, changed
from tests.doctor.said import only, said

from meshtrail.model.span import Span


def doubled(mesh: Mesh, *, share: float = 0.9, path: str | None = None) -> list[Span]:
    """A second SERVER span of the SDK inside the first one of backend."""
    inner = []
    for span in mesh.spans:
        if span.service == "backend":
            tags = {**span.tags, "otel.scope.name": "opentelemetry.instrumentation.wsgi"}
            if path:
                tags["url.path"] = path
            inner.append(
                replace(
                    span, span_id=span.span_id[::-1], parent_id=span.span_id, start_us=span.start_us + 5,
                    duration_us=int(span.duration_us * share), tags=tags,
                )
            )  # fmt: skip
    return inner


def test_two_instrumentations_of_one_service_are_named() -> None:
    mesh = Mesh(otel=True).requests(10, every_us=3_000)
    mesh.spans += doubled(mesh)
    finding = only(mesh)
    assert (finding.rule, finding.service, finding.count, finding.share) == (
        "instrumented-twice",
        "backend",
        10,
        1.0,
    )
    assert "flask and opentelemetry.instrumentation.wsgi" in finding.text


@pytest.mark.parametrize("other", [{"share": 0.2}, {"path": "/forwarded/elsewhere"}])
def test_a_server_span_for_other_work_is_no_double(other: dict[str, object]) -> None:
    mesh = Mesh(otel=True).requests(10, every_us=3_000)
    mesh.spans += doubled(mesh, **other)  # type: ignore[arg-type]
    assert said(mesh) == set()


def test_sidecar_and_sdk_are_meant_to_be_two() -> None:
    assert said(Mesh(BOOKINFO, otel=True).requests(20, every_us=3_000)) == set()


@pytest.mark.parametrize("skew_us", [-30_000, 30_000])
def test_the_clock_that_is_wrong_is_named_once(skew_us: int) -> None:
    finding = only(Mesh(skew_us={"backend": skew_us}).requests(10, every_us=3_000))
    assert (finding.rule, finding.service) == ("clock-skew", "backend.meshtrail")
    assert ("behind" if skew_us < 0 else "ahead of") in finding.text
    assert "database.meshtrail, frontend.meshtrail" in finding.text


def test_a_skew_that_the_network_covers_is_left_alone() -> None:
    assert said(Mesh(skew_us={"backend": -400}).requests(20, every_us=3_000)) == set()


def test_work_that_goes_on_after_the_caller_gave_up_is_no_skew() -> None:
    def timed_out(span: Span) -> Span:
        if span.app == "frontend" and span.kind == "client":
            return replace(
                span, duration_us=2_000, tags={**span.tags, "response_flags": "UT", "http.status_code": "504"}
            )
        if span.app == "backend" and span.kind == "server":
            return replace(
                span, duration_us=90_000, tags={**span.tags, "response_flags": "DC", "http.status_code": "0"}
            )
        return span

    assert said(changed(Mesh().requests(10, every_us=300_000).traces(), timed_out)) == set()


def test_one_name_in_two_namespaces() -> None:
    def other(span: Span) -> Span:
        return replace(span, tags={**span.tags, "istio.namespace": "other"}) if span.app == "backend" else span

    mesh = Mesh().requests(10, every_us=3_000)
    again = Mesh(seed=2).requests(10, every_us=3_000)
    finding = only([*mesh.traces(), *changed(again.traces(), other)])
    assert (finding.rule, finding.service) == ("name-collision", f"backend.{NAMESPACE}")
    assert f"{NAMESPACE}, other" in finding.text


def in_language(traces: Mesh, language: str) -> Mesh:
    traces.spans = [
        replace(span, process_tags={**span.process_tags, "telemetry.sdk.language": language})
        if span.service == "backend"
        else span
        for span in traces.spans
    ]
    return traces


@pytest.mark.parametrize(("later_us", "expected"), [(0, {("name-collision", "backend", "")}), (60_000_000, set())])
def test_one_name_in_two_languages_unless_one_replaced_the_other(
    later_us: int, expected: set[tuple[str, str, str]]
) -> None:
    first = in_language(Mesh(otel=True).requests(10, every_us=3_000), "python")
    second = in_language(Mesh(otel=True, seed=2).requests(10, every_us=3_000, at_us=EPOCH_US + later_us), "go")
    assert said([*first.traces(), *second.traces()]) == expected


def test_versions_and_pods_of_one_service_are_no_collision() -> None:
    def v2(span: Span) -> Span:
        return replace(span, tags={**span.tags, "istio.canonical_revision": "v2"})

    mesh = Mesh(pods=3).requests(20, every_us=3_000)
    again = Mesh(pods=3, seed=2).requests(20, every_us=3_000)
    assert said([*mesh.traces(), *changed(again.traces(), v2)]) == set()


def test_one_name_that_calls_itself_under_another_host_name() -> None:
    def same_name(span: Span) -> Span:
        if span.app in ("backend", "database"):
            tags = {key: value for key, value in span.tags.items() if key != "istio.canonical_service"}
            return replace(span, service=f"app.{NAMESPACE}", tags=tags)
        return span

    assert ("name-collision", "app", "") in said(changed(Mesh().requests(10, every_us=3_000).traces(), same_name))


def test_a_service_that_calls_its_own_host_is_recursion() -> None:
    def recursive(span: Span) -> Span:
        if span.app != "database":
            return span
        return replace(span, service=f"backend.{NAMESPACE}", tags={**span.tags, "istio.canonical_service": "backend"})

    def to_itself(span: Span) -> Span:
        if span.app == "backend" and span.kind == "client":
            tags = {**span.tags, "upstream_cluster": f"outbound|8080||backend.{NAMESPACE}.svc.cluster.local"}
            return replace(span, tags=tags)
        return span

    traces = changed(changed(Mesh().requests(10, every_us=3_000).traces(), recursive), to_itself)
    assert said(traces) == set()
