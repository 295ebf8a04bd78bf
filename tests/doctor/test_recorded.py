"""Everything that was recorded on a real Istio: the broken ones are named, all others give no alarm."""

from __future__ import annotations

import json

import pytest
from tests.doctor.said import look
from tests.model.recorded import EPOCH_US, FOLDER, _span, recorded

from meshtrail.model.trace import Trace
from meshtrail.reading.decode import traces_of

DROPPED, FORMAT = "headers-dropped", "format-mismatch"
STORE = FOLDER.parents[1] / "store" / "recorded"

SITUATIONS = sorted(
    str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.json") if path.parent.name != "config"
)

OF_SERVICE = {
    "backend": ("backend", "database"),
    "frontend": ("frontend", "backend"),
    "reviews": ("reviews", "ratings"),
}


def expected(situation: str) -> set[tuple[str, str, str]]:
    """From the name of the situation: `<forms>-<service>-<mode of its switch>`."""
    name = situation.rpartition("/")[2]
    special = {
        "health-traced": {("health-checks-traced", "frontend", "")},
        "silent-workload": {("outside-mesh", "backend", "")},
        "productpage-none": {(DROPPED, "productpage", "details"), (DROPPED, "productpage", "reviews")},
        "plain-frontend-and-backend-none": {(DROPPED, *OF_SERVICE["backend"]), (DROPPED, *OF_SERVICE["frontend"])},
    }
    if name in special:
        return special[name]
    service, mode = name.split("-")[-2:] if "-" in name else ("", "")
    if service not in OF_SERVICE:
        return set()
    b3, both = "b3-" in name.removesuffix("-b3"), "b3-w3c-" in name
    if mode == "none":
        return {(DROPPED, *OF_SERVICE[service])}
    if mode == ("w3c" if b3 else "b3") and not both:
        return {(FORMAT, *OF_SERVICE[service])}
    return set()


def traces(situation: str) -> list[Trace]:
    if "/" not in situation:
        return list(recorded(situation))
    items = json.loads((FOLDER / f"{situation}.json").read_text("utf-8"))["traces"]
    return [
        Trace.of(_span(span, item["trace"], EPOCH_US + span["start_us"]) for span in item["spans"])
        for item in items
        if item["spans"]
    ]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_recording_is_judged_rightly(situation: str) -> None:
    found = look(traces(situation)).findings
    short = {
        (one.rule, one.service.partition(".")[0], one.called.partition(".")[0]) for one in found if one.level != "note"
    }
    assert short == expected(situation)


def test_the_recordings_hold_broken_ones_and_whole_ones() -> None:
    broken = [situation for situation in SITUATIONS if expected(situation)]
    assert len(broken) >= 30
    assert len(SITUATIONS) - len(broken) >= 80


@pytest.mark.parametrize("file", sorted(STORE.glob("*.jaeger.json")), ids=lambda file: str(file.stem))
def test_odd_spans_that_jaeger_answered_are_no_reason_to_fail(file: object) -> None:
    """Spans with every attribute type, kind and time that there is: nothing of a mesh to accuse."""
    recordings = json.loads(file.read_text("utf-8"))  # type: ignore[attr-defined]
    answers = [one for one in _objects(recordings) if isinstance(one.get("data"), list)]
    assert answers
    for answer in answers:
        try:
            found = traces_of(answer)
        except ValueError:
            continue
        assert {one.rule for one in look(found).findings} <= {"trace-cut", "clock-skew", "phantom-parent"}


def _objects(item: object) -> list[dict[str, object]]:
    if isinstance(item, dict):
        return [item, *(one for value in item.values() for one in _objects(value))]
    return [one for value in item for one in _objects(value)] if isinstance(item, list) else []
