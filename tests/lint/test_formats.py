"""JSON, SARIF and GitHub's workflow commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.lint.support import DEPLOYMENT, NAMESPACE, SERVICE

from meshtrail.errors import Problem
from meshtrail.lint.finding import Finding
from meshtrail.lint.formats import github, sarif
from meshtrail.lint.formats import json as json_format
from meshtrail.lint.formats import text as text_format
from meshtrail.lint.rule import RULES
from meshtrail.lint.run import Report, lint


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Of a folder `my shop` with a warning in `cart.yaml`, and a file that cannot be read."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my shop"
    folder.mkdir()
    (folder / "cart.yaml").write_text("---\n".join((NAMESPACE, SERVICE.replace("name: http, ", ""), DEPLOYMENT)))
    (folder / "half.yaml").write_text("apiVersion: v1\nkind: {")
    return lint(["my shop"])


def test_text(report: Report) -> None:
    lines = [line for _, line in text_format.lines(report)]
    assert lines[0].startswith("my shop/cart.yaml:12: warning port-protocol: Service shop/cart: spec.ports[0].name: ")
    assert lines[1].startswith("    mend: ")
    assert lines[2] == "    docs: docs/lint.md#port-protocol"
    assert lines[-1] == "3 objects of 2 files: 1 warning"


def test_json(report: Report) -> None:
    shown = json.loads(json_format.dump(report))
    assert {key: shown[key] for key in ("version", "clean", "objects", "files", "suppressed")} == {
        "version": 1,
        "clean": False,
        "objects": 3,
        "files": 2,
        "suppressed": 0,
    }
    (one,) = shown["findings"]
    assert set(one) >= {"rule", "level", "file", "line", "object", "field", "text", "mend", "docs", "kustomization"}
    (error,) = shown["errors"]
    assert (error["file"], error["line"]) == ("my shop/half.yaml", 2)


def test_sarif_has_what_github_code_scanning_needs(report: Report) -> None:
    """No package at hand has SARIF's schema: the fields are those that GitHub's page on SARIF support names."""
    log: dict[str, Any] = json.loads(sarif.dump(report))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert [rule["id"] for rule in driver["rules"]] == [*RULES, "suppression"]
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["fullDescription"]["text"]
        assert rule["help"]["text"]
        assert len(rule["fullDescription"]["text"]) <= 1024
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    (result,) = run["results"]
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "port-protocol"
    assert result["level"] == "warning"
    assert result["message"]["text"]
    assert result["partialFingerprints"]["meshtrail/v1"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "my%20shop/cart.yaml", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 12}
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "half.yaml" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_a_fingerprint_survives_a_moved_line() -> None:
    one = Finding("r", "error", "a.yaml", 3, "Service x", "spec", "t", "m", "d")
    moved = Finding("r", "error", "a.yaml", 9, "Service x", "spec", "other words", "m", "d")
    other = Finding("r", "error", "a.yaml", 3, "Service y", "spec", "t", "m", "d")
    assert sarif.fingerprint(one) == sarif.fingerprint(moved) != sarif.fingerprint(other)


def test_a_clean_report_in_sarif_has_no_results() -> None:
    log = json.loads(sarif.dump(Report((), 0, 1, 1)))
    assert log["runs"][0]["results"] == []
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is True


def test_github_escapes_what_would_end_a_command() -> None:
    one = Finding(
        "rule", "note", "a,b:c.yaml", 3, "Service x", "spec", "100 % of\r\nit", "mend: it", "docs/lint.md#rule"
    )
    problem = Problem("bad %", file="d.yaml", mend="x")
    first, second = github.lines(Report((one,), 0, 1, 1, (problem,)))
    assert first == (
        "::notice file=a%2Cb%3Ac.yaml,line=3,title=meshtrail rule::Service x: spec: 100 %25 of%0D%0Ait%0Amend: mend: it"
        "%0Adocs: docs/lint.md#rule"
    )
    assert second == "::error file=d.yaml,title=meshtrail cannot read::bad %25%0Amend: x"


def test_github_has_a_command_for_each_finding(report: Report) -> None:
    lines = list(github.lines(report))
    assert [line.split(" ")[0] for line in lines] == ["::warning", "::error"]
    assert all("\n" not in line for line in lines)
