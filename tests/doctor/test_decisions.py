"""sampling-lost and request-id-changed."""

from __future__ import annotations

from dataclasses import replace

from tests.doctor.mesh import Mesh, changed
from tests.doctor.said import look, only, said

from meshtrail.model.span import Span


def test_a_service_that_keeps_everything_but_the_request_id_is_named() -> None:
    finding = only(Mesh(modes={"backend": "no-id"}).requests(30, every_us=3_000))
    assert (finding.rule, finding.service, finding.called) == (
        "request-id-changed",
        "backend.meshtrail",
        "database.meshtrail",
    )
    assert (finding.count, finding.share, finding.confidence) == (30, 1.0, "certain")


def test_below_full_sampling_its_requests_end_there() -> None:
    finding = only(Mesh(modes={"backend": "no-id"}, sampling=0.3).requests(300, every_us=3_000))
    assert (finding.rule, finding.service) == ("sampling-lost", "backend.meshtrail")
    assert 0.5 < finding.share < 0.9


def test_below_full_sampling_a_service_that_hands_on_the_decision_is_left_alone() -> None:
    assert said(Mesh(sampling=0.3).requests(300, every_us=3_000)) == set()


def test_an_id_that_changes_on_the_way_is_laid_to_the_configuration() -> None:
    mesh = Mesh().requests(30, every_us=3_000)

    def behind(span: Span) -> Span:
        tags = dict(span.tags)
        if span.app == "database":
            tags["guid:x-request-id"] = f"{tags['guid:x-request-id']}-other"
        return replace(span, tags=tags)

    finding = only(changed(mesh.traces(), behind))
    assert (finding.rule, finding.service, finding.called) == (
        "request-id-changed",
        "backend.meshtrail",
        "database.meshtrail",
    )
    assert "VirtualServices" in finding.mend


def test_a_route_that_takes_the_id_away_takes_it_from_the_calling_span_too() -> None:
    def without(span: Span) -> Span:
        tags = dict(span.tags)
        if span.app == "backend" and span.kind == "client":
            del tags["guid:x-request-id"]
        if span.app == "database":
            tags["guid:x-request-id"] = "another"
        return replace(span, tags=tags)

    assert said(changed(Mesh().requests(10, every_us=3_000).traces(), without)) == {
        ("request-id-changed", "backend", "database")
    }


def test_spans_without_any_id_change_none() -> None:
    def without(span: Span) -> Span:
        return replace(span, tags={key: value for key, value in span.tags.items() if key != "guid:x-request-id"})

    assert said(changed(Mesh().requests(10, every_us=3_000).traces(), without)) == set()


def test_a_service_that_reports_some_of_its_requests_is_named() -> None:
    traces = Mesh().requests(100, every_us=3_000).traces()
    kept = {trace.trace_id for trace in traces[::3]}

    def silent(span: Span) -> Span | None:
        return span if span.app != "database" or span.trace_id in kept else None

    finding = only(changed(traces, silent))
    assert (finding.rule, finding.service, finding.count) == ("sampling-lost", "database.meshtrail", 66)


def test_a_route_that_takes_the_id_away_loses_the_decision_too() -> None:
    traces = Mesh().requests(60, every_us=3_000).traces()
    kept = {trace.trace_id for trace in traces[::3]}

    def anew(span: Span) -> Span | None:
        tags = dict(span.tags)
        if span.app == "backend" and span.kind == "client":
            del tags["guid:x-request-id"]
        if span.app != "database":
            return replace(span, tags=tags)
        return replace(span, tags=tags | {"guid:x-request-id": "new"}) if span.trace_id in kept else None

    report = look(changed(traces, anew))
    lost = report.of("sampling-lost")
    assert [one.service for one in lost] == ["database.meshtrail"]
    assert "VirtualServices for database.meshtrail" in lost[0].mend


def test_calls_that_the_proxy_answered_by_itself_are_no_loss() -> None:
    traces = Mesh().requests(60, every_us=3_000).traces()
    failed = {trace.trace_id for trace in traces[::3]}

    def fault(span: Span) -> Span | None:
        if span.trace_id not in failed or span.app not in ("backend", "database"):
            return span
        if span.app == "database":
            return None
        flags = "FI" if span.kind == "client" else "-"
        return replace(span, tags={**span.tags, "response_flags": flags, "http.status_code": "503"})

    assert said(changed(traces, fault)) == set()


def test_an_sdk_that_draws_lots_of_its_own_is_named() -> None:
    traces = Mesh(otel=True).requests(60, every_us=3_000).traces()
    lost = {trace.trace_id for trace in traces[::3]}

    def drawn(span: Span) -> Span | None:
        behind = (
            span.service == "backend" or span.app == "database" or (span.app == "backend" and span.kind == "client")
        )
        return None if span.trace_id in lost and behind else span

    finding = only(changed(traces, drawn))
    assert (finding.rule, finding.service) == ("sampling-lost", "backend.meshtrail")
    assert "OTEL_TRACES_SAMPLER" in finding.mend


def test_an_sdk_that_came_with_a_release_drew_no_lots() -> None:
    before = Mesh().requests(30, every_us=3_000)
    after = Mesh(otel=True, seed=2).requests(30, every_us=3_000, at_us=before.spans[-1].end_us + 1_000_000)
    assert look([*before.traces(), *after.traces()]).findings == ()
