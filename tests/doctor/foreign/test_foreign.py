"""The doctor on traces of applications that are not ours: no crash, sensible words, no accusation without ground."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.doctor.foreign import applications as shapes
from tests.doctor.foreign.spans import Shape, write
from tests.support.mesh import meshtrail

from meshtrail.doctor.examine import examine
from meshtrail.doctor.finding import Finding, Report
from meshtrail.reading.files import read_traces

REQUESTS = 80


def examined(folder: Path, *of: Shape, requests: int = REQUESTS) -> Report:
    report = examine(read_traces(write(folder / "traces.jsonl", of, requests=requests)))
    for one in report.findings:
        assert one.text
        assert one.mend
        assert "None" not in one.text + one.mend
        assert set(one.traces)
    return report


def faults(report: Report) -> list[Finding]:
    return [one for one in report.findings if one.level != "note"]


@pytest.mark.parametrize(
    "of",
    [
        pytest.param((shapes.hotrod,), id="hotrod"),
        pytest.param((shapes.demo_browse, shapes.demo_load), id="otel-demo"),
        pytest.param((shapes.demo_order, shapes.demo_load), id="otel-demo-kafka"),
        pytest.param((shapes.demo_order_linked, shapes.demo_browse), id="otel-demo-kafka-links"),
        pytest.param((shapes.demo_browse, shapes.demo_lost_browser), id="otel-demo-browser-closed"),
        pytest.param((shapes.boutique_in_mesh,), id="boutique-in-istio-forwarding"),
    ],
)
def test_what_is_as_it_should_be(tmp_path: Path, of: tuple[Shape, ...]) -> None:
    report = examined(tmp_path, *of)
    assert [one.text for one in faults(report)] == []
    assert report.traces >= REQUESTS


def test_online_boutique_accuses_nobody_of_dropping_headers(tmp_path: Path) -> None:
    """Three of its services have no SDK: that may be said of them, and of no other."""
    report = examined(tmp_path, shapes.boutique_home, shapes.boutique_checkout)
    silent = ("cartservice", "adservice", "shippingservice", "CartService", "AdService", "ShippingService")
    for one in faults(report):
        assert one.rule == "outside-mesh", one.text
        assert one.called.rpartition(".")[2] in silent or one.service in silent, one.text


def test_online_boutique_in_a_mesh_that_joins_nothing(tmp_path: Path) -> None:
    """Its Go services copy no headers: each is named, with what it calls, and nobody else."""
    report = examined(tmp_path, shapes.boutique_in_mesh_as_it_is, requests=200)
    assert {(one.rule, one.service, one.called) for one in faults(report)} == {
        ("headers-dropped", f"{caller}.boutique", f"{called}.boutique")
        for caller, called in (
            ("frontend", "productcatalogservice"),
            ("frontend", "currencyservice"),
            ("frontend", "checkoutservice"),
            ("checkoutservice", "cartservice"),
            ("checkoutservice", "paymentservice"),
        )
    }
    assert report.requests == 200


def test_a_browser_with_a_wrong_clock_is_named_as_that(tmp_path: Path) -> None:
    report = examined(tmp_path, shapes.demo_wrong_clock)
    assert {one.rule for one in faults(report)} <= {"clock-skew"}
    assert {one.rule for one in report.findings} == {"clock-skew"}
    assert "frontend-web" in {name for one in report.findings for name in (one.service, one.called)}


def test_by_the_command(tmp_path: Path) -> None:
    file = write(tmp_path / "traces.jsonl", [shapes.boutique_in_mesh_as_it_is], requests=40)
    said = json.loads(meshtrail("doctor", "--file", str(file), "--json", status=1).stdout)
    assert {one["rule"] for one in said["findings"]} == {"headers-dropped"}
