"""phantom-parent and trace-cut."""

from __future__ import annotations

from dataclasses import replace

from tests.doctor.mesh import EPOCH_US, Mesh, changed
from tests.doctor.said import look, only, said

from meshtrail.doctor.examine import examine
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace


def test_an_application_that_never_exports_is_named() -> None:
    finding = only(Mesh(modes={"backend": "phantom"}).requests(40, every_us=2_000))
    assert (finding.rule, finding.service, finding.confidence) == ("phantom-parent", "backend.meshtrail", "certain")
    assert finding.share == 1.0
    assert "OTEL_TRACES_EXPORTER" in finding.mend


def test_two_of_them_are_both_named() -> None:
    mesh = Mesh(modes={"backend": "phantom", "frontend": "phantom"}).requests(40, every_us=2_000)
    assert said(mesh) == {("phantom-parent", "backend", ""), ("phantom-parent", "frontend", "")}


def test_the_caller_of_a_server_whose_parent_is_missing_is_named() -> None:
    """frontend's SDK makes a span that nobody gets, and its call went over a TCP port."""
    mesh = Mesh(modes={"frontend": "phantom"}).requests(20, every_us=50_000)
    traces = changed(mesh.traces(), lambda span: None if span.app == "frontend" and span.kind == "client" else span)
    assert said(traces) == {("phantom-parent", "frontend", "")}


def test_the_trace_of_a_client_outside_is_no_phantom() -> None:
    def from_outside(span: Span) -> Span:
        return replace(span, parent_id="b7ad6b7169203331") if span.parent_id is None else span

    for gateway in (True, False):
        mesh = Mesh(gateway=gateway, host="frontend:8080").requests(20, every_us=2_000)
        assert said(changed(mesh.traces(), from_outside)) == set()


def test_spans_on_their_way_are_a_note() -> None:
    traces = Mesh(modes={"backend": "phantom"}).requests(5, every_us=2_000).traces()
    last_us = max(trace.end_us for trace in traces)
    young = examine(traces, now_us=last_us + 1_000_000)
    assert young.healthy
    assert [one.rule for one in young.findings] == ["trace-cut"]
    assert young.unsettled == 5
    assert [one.rule for one in examine(traces, now_us=last_us + 60_000_000).findings] == ["phantom-parent"]


def test_the_oldest_traces_without_their_beginning_are_a_note() -> None:
    traces = sorted(Mesh().requests(100, every_us=20_000).traces(), key=lambda trace: trace.start_us)
    cut = [Trace.of(trace.spans[3:]) for trace in traces[:6]]
    report = look([*cut, *traces[6:]])
    assert report.healthy
    assert [one.rule for one in report.findings] in (["trace-cut"], [])
    backend_lost = [
        Trace.of(span for span in trace.spans if not (span.app == "backend" and span.kind == "server"))
        for trace in traces[:6]
    ]
    report = look([*backend_lost, *traces[6:]])
    assert [(one.rule, one.level) for one in report.findings] == [("trace-cut", "note")]
    assert "oldest" in report.findings[0].text


def test_a_span_that_got_lost_now_and_then_is_a_note() -> None:
    traces = Mesh().requests(100, every_us=20_000).traces()
    lossy = [
        Trace.of(span for span in trace.spans if number % 40 != 20 or span.app != "backend" or span.kind != "server")
        for number, trace in enumerate(traces)
    ]
    report = look(lossy)
    assert report.healthy
    assert [one.rule for one in report.findings] == ["trace-cut"]
    assert report.findings[0].count == 2


def test_a_phantom_in_the_newest_half_is_no_matter_of_age() -> None:
    mesh = Mesh().requests(50, every_us=2_000)
    mesh.modes = {"backend": "phantom"}
    mesh.requests(50, every_us=2_000, at_us=EPOCH_US + 60_000_000)
    assert said(mesh) == {("phantom-parent", "backend", "")}
