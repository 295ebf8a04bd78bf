from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.model.recorded import recorded

from meshtrail.model.request import group_requests
from meshtrail.reading.report import report

PAGE = Path(__file__).parents[2] / "docs" / "reading-traces.md"
DATA = ("tags", "process_tags", "fields")


def test_every_field_is_documented_and_every_documented_field_is_there() -> None:
    rows = dict(re.findall(r"^\| (request|break|trace|span) \| (.*) \|$", PAGE.read_text("utf-8"), re.M))
    documented = {name: set(re.findall(r"`(\w+)`", text)) for name, text in rows.items()}
    whole = report(group_requests(recorded("otlp-backend-none")))
    (request,) = whole["requests"]
    assert documented["request"] == set(request)
    assert documented["break"] == _keys(request["breaks"])
    assert documented["trace"] == set(request["traces"][0])
    # Envoy's OpenTelemetry spans carry no logs, so their fields stand in the page alone.
    assert documented["span"] - {"time_us", "fields"} == set(request["traces"][0]["spans"][0])


def test_it_is_json() -> None:
    whole = report(group_requests(recorded("retry")))
    assert json.loads(json.dumps(whole)) == whole


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for name, inner in value.items() if name not in DATA for key in _keys(inner)}
    if isinstance(value, list):
        return {key for inner in value for key in _keys(inner)}
    return set()
