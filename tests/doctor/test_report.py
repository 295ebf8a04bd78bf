"""The report: for a person at any width, and as JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from tests.doctor.mesh import EPOCH_US, Mesh
from tests.doctor.said import look

from meshtrail.doctor.draw import draw, lines
from meshtrail.doctor.finding import CONFIDENCES, LEVELS, Report
from meshtrail.doctor.reference import render
from meshtrail.doctor.report import as_json
from meshtrail.doctor.rules import RULES

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


@pytest.fixture
def report() -> Report:
    mesh = Mesh(modes={"backend": "none", "frontend": "b3"}, gateway=False).requests(5, every_us=3_000)
    mesh.requests(5, every_us=3_000, path="/healthz")
    return look(mesh)


def text_of(report: Report, width: int = 120) -> list[str]:
    return [line.plain for line in lines(report, source="http://127.0.0.1:16686", since_us=EPOCH_US, width=width)]


@pytest.mark.parametrize("width", [60, 80, 120, 400])
def test_no_line_is_wider_than_the_terminal(report: Report, width: int) -> None:
    found = text_of(report, width)
    assert max(map(len, found)) <= min(width, 120)
    whole = " ".join(line[10:] for line in found)
    for finding in report.findings:
        assert all(trace in whole for trace in finding.traces)


def test_it_begins_with_what_was_looked_at_and_ends_with_the_verdict(report: Report) -> None:
    found = text_of(report)
    assert found[0] == "30 traces of 10 requests from http://127.0.0.1:16686"
    assert "(asked for: since " in found[1]
    assert found[-1].startswith("not healthy: 2 errors, 2 warnings; look at ")
    assert "backend.meshtrail" in found[-1]
    for finding in report.findings:
        assert f"docs      {finding.docs}" in found


def test_a_healthy_mesh_is_said_in_one_line() -> None:
    assert text_of(look(Mesh().requests(3, every_us=3_000)))[-1] == "healthy: nothing found"


def test_the_gravest_come_first(report: Report) -> None:
    levels = [LEVELS.index(one.level) for one in report.findings]
    assert levels == sorted(levels)
    assert len(set(levels)) > 1


def test_without_colours_nothing_is_lost_and_nothing_is_obeyed(report: Report) -> None:
    evil = replace(report.findings[0], text="\x1b[31mred [bold]\u202e :smile:")
    out = io.StringIO()
    draw(Console(file=out, width=80, no_color=True), replace(report, findings=(evil,)), source="[link=x]")
    assert "\x1b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert "red [bold]" in out.getvalue()
    assert ":smile:" in out.getvalue()
    assert "[link=x]" in out.getvalue()


def test_json_has_the_documented_shape(report: Report) -> None:
    whole = json.loads(json.dumps(as_json(report, source="here")))
    assert (whole["version"], whole["healthy"], whole["traces"], whole["requests"]) == (1, False, 30, 10)
    text = PAGE.read_text("utf-8")
    for finding in whole["findings"]:
        assert set(finding) == {
            "rule", "level", "service", "called", "text", "confidence", "reason", "share", "count", "traces", "mend",
            "docs",
        }  # fmt: skip
        assert finding["level"] in LEVELS
        assert finding["confidence"] in CONFIDENCES
        assert 0 < finding["share"] <= 1
        assert 1 <= len(finding["traces"]) <= 5
        assert f"### {finding['docs'].partition('#')[2]}\n" in text
        assert all(f"`{field}`" in text for field in finding)


def test_the_page_is_what_the_rules_declare() -> None:
    page = PAGE.read_text("utf-8")
    assert render(page) == page, "python -m meshtrail.doctor.reference docs/doctor.md writes it anew"


def test_every_rule_of_the_promise_is_there_and_says_everything() -> None:
    assert [rule.id for rule in RULES] == [
        "headers-dropped",
        "headers-dropped-partly",
        "format-mismatch",
        "phantom-parent",
        "sampling-lost",
        "gateway-missing",
        "health-checks-traced",
        "outside-mesh",
        "instrumented-twice",
        "clock-skew",
        "name-collision",
        "trace-cut",
        "request-id-changed",
    ]
    for rule in RULES:
        for text in (rule.title, rule.looks_at, rule.decides, rule.mend, rule.silent):
            assert text
            assert "|" not in text
