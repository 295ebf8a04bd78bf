"""docs/services.md and docs/polyglot.md are what the sources say."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.services.harness import BACKEND_ANSWER, FRONTEND, IMPLEMENTATIONS, ROOT

SCRIPT = ROOT / "scripts" / "form-diff"
PAGE = (ROOT / "docs" / "services.md").read_text(encoding="utf-8")
POLYGLOT = (ROOT / "docs" / "polyglot.md").read_text(encoding="utf-8")
PLAIN = {"python": "plain.py", "node": "plain.js", "go": "plain/main.go"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_page_is_up_to_date() -> None:
    done = run("--check")
    assert done.returncode == 0, done.stderr


def test_diff_of_the_forms_fits_a_slide() -> None:
    shown = run().stdout
    for one in IMPLEMENTATIONS:
        name = f"{one.service}/{PLAIN[one.language]}"
        start = shown.index(f"--- {name}")
        end = shown.find("\n--- ", start)
        part = shown[start : end if end > 0 else len(shown)].strip().splitlines()
        assert len(part) <= 32, f"{name}: {len(part)} lines"
        assert max(map(len, part)) <= 121


def test_difference_is_only_instrumentation() -> None:
    """Nothing is taken away: what plain has, otel has too, and every line added speaks of instrumentation."""
    words = ("OpenTelemetry", "opentelemetry", "telemetry", "Instrumentor", "tracing", "SPANS", "start_as_current_span")
    functions = ("record_error", "sql_span", "recordError")
    for line in run().stdout.splitlines():
        if line.startswith("+") and not line.startswith(("+++", '+"""')) and line.strip("+ "):
            assert any(word in line for word in words + functions), line


def test_plain_imports_nothing_of_telemetry() -> None:
    for one in IMPLEMENTATIONS:
        folder = ROOT / "services" / one.service / one.language / one.service
        for file in folder.glob("*.py"):
            if file.name != "otel.py":
                source = file.read_text(encoding="utf-8")
                assert "import opentelemetry" not in source
                assert "from opentelemetry" not in source
                assert "meshtrail_common.telemetry" not in source


def test_lines_of_the_other_languages_are_those_of_the_sources() -> None:
    shown = re.findall(r"`(services/[^`]+)`[^\n]*:\n\n```\w+\n(.*?)```", POLYGLOT, re.DOTALL)
    assert len(shown) == 5
    for path, lines in shown:
        assert lines in (ROOT / path).read_text(encoding="utf-8"), path


def test_files_of_the_other_languages_are_there() -> None:
    for path in re.findall(r"`(services/[^`*<]+)`", POLYGLOT):
        assert (ROOT / path).exists(), path
    for one in IMPLEMENTATIONS:
        if one.language != "python":
            assert re.search(rf"^\| {one.service} \|.*{one.language}", POLYGLOT, re.MULTILINE | re.IGNORECASE)


def test_answers_on_the_page_are_the_contract() -> None:
    assert '{"message": "Frontend response", "backend_data": <backend\'s answer>}' in PAGE
    assert '{"message": "Backend response", "database_data": <database\'s answer>, "processed": 84}' in PAGE
    assert f"`{json.dumps(BACKEND_ANSWER['database_data'])}`" in PAGE
    assert FRONTEND.answer["backend_data"] == BACKEND_ANSWER
