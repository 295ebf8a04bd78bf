from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtrail.reading.decode import traces_of

SPAN: dict[str, Any] = {
    "traceID": "1a",
    "spanID": "2b",
    "operationName": "work",
    "startTime": 10,
    "duration": 5,
    "processID": "p1",
    "tags": [{"key": "span.kind", "type": "string", "value": "internal"}],
}


def answer(*spans: dict[str, Any], **trace: Any) -> dict[str, Any]:
    return {"data": [{"traceID": "1a", "spans": list(spans), "processes": {"p1": {"serviceName": "backend"}}, **trace}]}


def reference(span_id: str, *, trace_id: str = "1a", kind: str = "CHILD_OF") -> dict[str, str]:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def test_ids_without_leading_zeros_are_filled() -> None:
    ((trace),) = traces_of(answer(SPAN))
    (span,) = trace.spans
    assert (trace.trace_id, span.span_id) == ("1a".rjust(32, "0"), "2b".rjust(16, "0"))
    assert (span.service, span.kind, span.parent_id) == ("backend", "internal", None)


@pytest.mark.parametrize(
    ("references", "parent"),
    [
        ([reference("3c")], "3c"),
        ([reference("4d", kind="FOLLOWS_FROM"), reference("3c")], "3c"),
        ([reference("4d", kind="FOLLOWS_FROM")], "4d"),
        ([reference("4d", trace_id="ff")], None),
        ([], None),
        (None, None),
    ],
)
def test_the_parent_is_the_first_child_of_in_the_same_trace(references: Any, parent: str | None) -> None:
    (trace,) = traces_of(answer({**SPAN, "references": references}))
    assert trace.spans[0].parent_id == (parent and parent.rjust(16, "0"))


def test_tags_keep_their_types_and_odd_ones_become_text() -> None:
    tags = [
        {"key": "a", "type": "bool", "value": True},
        {"key": "b", "type": "int64", "value": 7},
        {"key": "c", "type": "float64", "value": 0.5},
        {"key": "d", "type": "string", "value": ["x"]},
        {"key": "e", "value": None},
    ]
    (trace,) = traces_of(answer({**SPAN, "tags": tags}))
    assert trace.spans[0].tags == {"a": True, "b": 7, "c": 0.5, "d": "['x']", "e": "None"}
    assert trace.spans[0].kind == "unspecified"


def test_logs_warnings_and_process_tags() -> None:
    log = {"timestamp": 12, "fields": [{"key": "event", "value": "exception"}]}
    spans = {**SPAN, "logs": [log], "warnings": ["clock skew"]}
    process = {"p1": {"serviceName": "backend", "tags": [{"key": "host.name", "value": "pod-1"}]}}
    (trace,) = traces_of(answer(spans, processes=process))
    (span,) = trace.spans
    assert (span.logs[0].time_us, span.logs[0].fields) == (12, {"event": "exception"})
    assert (span.warnings, span.process_tags) == (("clock skew",), {"host.name": "pod-1"})


def test_a_trace_without_spans_is_left_out() -> None:
    assert traces_of(answer()) == ()
    assert traces_of({"data": None}) == ()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({**SPAN, "traceID": "xyz"}, "`traceID`"),
        ({**SPAN, "spanID": ""}, "`spanID`"),
        ({**SPAN, "spanID": 7}, "`spanID`"),
        ({**SPAN, "startTime": "soon"}, "`startTime`"),
        ({**SPAN, "startTime": float("inf")}, "`startTime`"),
        ({**SPAN, "startTime": True}, "`startTime`"),
        ({**SPAN, "references": {}}, "`references`"),
        ({**SPAN, "tags": "none"}, "`tags`"),
        ({**SPAN, "logs": [3]}, "a log"),
        ("a span", "a span"),
    ],
)
def test_a_wrong_shape_names_the_field(wrong: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        traces_of(answer(wrong))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "spans", "traceID", "processes", "tags", "key"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, "data", *SPAN]))
def test_any_json_is_decoded_or_refused_with_a_reason(value: Any, field: str | None) -> None:
    whole = value if field is None else {"data": value} if field == "data" else answer({**SPAN, field: value})
    try:
        traces = traces_of(json.loads(json.dumps(whole)))
    except ValueError:
        return
    assert all(trace.spans for trace in traces)
