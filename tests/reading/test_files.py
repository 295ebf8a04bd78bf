from __future__ import annotations

import base64
import gzip
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.model.recorded import as_jaeger, recorded
from tests.reading.otlp import as_otlp

from meshtrail.errors import MeshtrailError
from meshtrail.reading.files import read_traces

WHOLE = recorded("otlp-all")[0]
BROKEN = recorded("otlp-backend-none")


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "traces.json"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def in_base64(document: Any) -> Any:
    """Identifiers as protobuf's own JSON writes them."""
    text = json.dumps(document)
    for trace in (WHOLE, *BROKEN):
        for identifier in {trace.trace_id, *(span.span_id for span in trace.spans)}:
            text = text.replace(f'"{identifier}"', f'"{base64.b64encode(bytes.fromhex(identifier)).decode()}"')
    return json.loads(text)


DOCUMENTS = {
    "an answer of the classic API": json.dumps({"data": [as_jaeger(trace) for trace in BROKEN], "total": 2}),
    "a list of Jaeger's traces": json.dumps([as_jaeger(trace) for trace in BROKEN], indent=2),
    "the answer of the v3 API": json.dumps({"result": as_otlp(BROKEN[0])}) + json.dumps({"result": as_otlp(BROKEN[1])}),
    "OTLP, a document a line": "".join(json.dumps(as_otlp(trace)) + "\n" for trace in BROKEN),
    "OTLP, one document": json.dumps(
        {"resourceSpans": [part for trace in BROKEN for part in as_otlp(trace)["resourceSpans"]]}, indent=1
    ),
    "Tempo's batches": json.dumps({"batches": [part for t in BROKEN for part in as_otlp(t)["resourceSpans"]]}),
    "identifiers in base64": "".join(json.dumps(in_base64(as_otlp(trace))) + "\n" for trace in BROKEN),
    "a byte order mark": "\ufeff" + json.dumps({"data": [as_jaeger(trace) for trace in BROKEN]}),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_what_is_read(tmp_path: Path, kind: str, packed: bool) -> None:
    content = DOCUMENTS[kind].encode()
    traces = read_traces(written(tmp_path, gzip.compress(content) if packed else content))
    assert [trace.trace_id for trace in traces] == [trace.trace_id for trace in BROKEN]
    for got, wanted in zip(traces, BROKEN, strict=True):
        assert [(s.span_id, s.parent_id, s.kind, s.service, s.start_us, s.request_id) for s in got.spans] == [
            (s.span_id, s.parent_id, s.kind, s.service, s.start_us, s.request_id) for s in wanted.spans
        ]


def test_one_trace_of_jaegers() -> None:
    text = json.dumps(as_jaeger(WHOLE))
    command = [
        sys.executable,
        "-c",
        "from meshtrail.reading.files import read_traces; print(len(read_traces('-')[0].spans))",
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(len(WHOLE.spans))


def test_spans_of_a_trace_in_several_documents(tmp_path: Path) -> None:
    """A Collector writes what each sender sends: one document a service."""
    parts = as_otlp(WHOLE)["resourceSpans"]
    file = written(tmp_path, "\n".join(json.dumps({"resourceSpans": [part]}) for part in reversed(parts)))
    (trace,) = read_traces(file)
    assert trace.complete
    assert len(trace.spans) == len(WHOLE.spans)


def test_what_was_exported_twice_stands_once(tmp_path: Path) -> None:
    line = json.dumps(as_otlp(WHOLE)) + "\n"
    (trace,) = read_traces(written(tmp_path, line + line))
    assert len(trace.spans) == len(WHOLE.spans)


def test_a_span_id_that_client_and_server_share_is_told_apart(tmp_path: Path) -> None:
    """Zipkin's way; the children of the server stay below it."""
    client, server = next(
        (WHOLE.parent_of(span), span)
        for span in WHOLE.spans
        if span.service == "backend.default" and span.kind == "server"
    )
    assert client is not None
    document = json.loads(json.dumps(as_otlp(WHOLE)).replace(f'"{server.span_id}"', f'"{client.span_id}"'))
    for group in document["resourceSpans"]:
        for span in group["scopeSpans"][0]["spans"]:
            if span["spanId"] == client.span_id and span["kind"] == 2:
                span["parentSpanId"] = client.parent_id
    (trace,) = read_traces(written(tmp_path, json.dumps(document)))
    assert trace.complete
    assert [(node.depth, node.span.service, node.span.kind) for node in trace.walk()] == [
        (node.depth, node.span.service, node.span.kind) for node in WHOLE.walk()
    ]


def test_values_of_every_kind(tmp_path: Path) -> None:
    values = {
        "text": {"stringValue": "a"},
        "empty": {"stringValue": ""},
        "truth": {"boolValue": True},
        "number": {"intValue": "-7"},
        "share": {"doubleValue": 0.5},
        "list": {"arrayValue": {"values": [{"stringValue": "x"}, {"intValue": 2}]}},
        "map": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
        "nothing": {},
    }
    span = {
        "traceId": "1" * 32, "spanId": "2" * 16, "parentSpanId": "", "name": "n", "kind": "SPAN_KIND_CONSUMER",
        "startTimeUnixNano": "1795000000000001000", "endTimeUnixNano": 1795000000000003000,
        "attributes": [{"key": key, "value": value} for key, value in values.items()],
        "events": [{"timeUnixNano": "1795000000000002000", "name": "boom", "attributes": []}],
        "links": [{"traceId": "3" * 32, "spanId": "4" * 16}],
        "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
    }  # fmt: skip
    document = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "lib", "version": "1"}, "spans": [span]}]}]}
    (trace,) = read_traces(written(tmp_path, json.dumps(document)))
    (one,) = trace.spans
    assert (one.kind, one.service, one.parent_id, one.start_us, one.duration_us, one.error) == (
        "consumer", "", None, 1795000000000001, 2, True,
    )  # fmt: skip
    assert {key: one.tags[key] for key in values} == {
        "text": "a", "empty": "", "truth": True, "number": -7, "share": 0.5,
        "list": "['x', 2]", "map": "{'k': 'v'}", "nothing": "",
    }  # fmt: skip
    assert (one.tags["otel.scope.name"], one.tags["otel.status_description"]) == ("lib", "no")
    assert (one.logs[0].time_us, one.logs[0].fields) == (1795000000000002, {"event": "boom"})


HALF = DOCUMENTS["an answer of the classic API"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        (HALF[: len(HALF) // 2], "line 1, column"),
        (HALF[: HALF.index('"spanID"') + 4], "ends in the middle"),
        (HALF[: HALF.index(",")], "ends in the middle"),
        (DOCUMENTS["OTLP, a document a line"][:-200], "line 2, column"),
        ("<!doctype html><title>Jaeger UI</title>", "web page"),
        ("{'data': []}", "line 1, column 2"),
        ('{"data": [}', "line 1, column 11"),
        ("hello", "line 1, column 1"),
        ('{"data": []}', "no span"),
        ('{"data": null, "errors": [{"code": 500, "msg": "storage is down"}]}', "storage is down"),
        ('{"resourceMetrics": []}', "metrics, not traces"),
        ('[{"traceId": "ab", "id": "cd", "name": "get"}]', "Zipkin"),
        ('{"kind": "List", "items": []}', "kind, items"),
        ("42", "an object or a list"),
        ('{"data": {}}', "`data` is not a list"),
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}', "`traceId` is not an id"),
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [7]}]}]}', "a span is not an object"),
        (b"\x1f\x8b\x08\x00broken", "no whole gzip"),
        (gzip.compress(HALF.encode())[:-30], "no whole gzip"),
        (b'{"data": "\xff"}', "line 1, column 11"),
        ("[" * 200_000, "nested too deep"),
    ],
    # Not the contents: they are long, and a gzip bears the time.
    ids=itertools.count(),
)  # fmt: skip
def test_what_is_no_traces_says_where_and_what_to_do(tmp_path: Path, content: str | bytes, text: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(MeshtrailError) as caught:
        read_traces(file)
    assert text in caught.value.message
    assert "traces.json" in caught.value.message
    assert caught.value.mend


def test_a_second_document_that_is_wrong_is_named_by_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, json.dumps(as_otlp(WHOLE)) + '\n\n{"resourceLogs": []}\n')
    with pytest.raises(MeshtrailError, match="line 3: these are logs"):
        read_traces(file)


def test_a_line_that_is_cut_far_down_is_named(tmp_path: Path) -> None:
    line = json.dumps(as_otlp(WHOLE)) + "\n"
    file = written(tmp_path, gzip.compress((line * 5 + line[:100]).encode()))
    with pytest.raises(MeshtrailError, match="line 6, column") as caught:
        read_traces(file)
    assert "still being written" in caught.value.mend


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MeshtrailError, match="cannot be read: No such file"):
        read_traces(tmp_path / "none.json")
    with pytest.raises(MeshtrailError, match="is a folder"):
        read_traces(tmp_path)
