"""Zipkin v2 JSON; its translation is held to a real Jaeger's by test_recorded.py."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.conftest import RunningStore, http
from tests.store.spans import T0_NS, new_trace_id

from meshtrail.store.refused import RefusedError
from meshtrail.store.store import TraceStore
from meshtrail.store.zipkin import parse_spans

_TIME_US = T0_NS // 1000


def span(**fields: Any) -> dict[str, Any]:
    return {
        "traceId": new_trace_id().hex(),
        "id": "a1",
        "name": "op",
        "timestamp": _TIME_US,
        "duration": 10,
        "localEndpoint": {"serviceName": "zipkin.default"},
    } | fields


def post(store: RunningStore, content: bytes, **headers: str) -> httpx.Response:
    headers = {"content-type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
    return http.post(f"{store.zipkin}/api/v2/spans", content=content, headers=headers)


def test_spans_are_accepted_and_shown(store: RunningStore) -> None:
    one = span()
    response = post(store, gzip.compress(json.dumps([one]).encode()), content_encoding="gzip")
    assert (response.status_code, response.text) == (202, "")
    trace = http.get(f"{store.query}/api/traces/{one['traceId']}").json()["data"][0]
    assert trace["spans"][0]["spanID"] == "00000000000000a1"
    assert trace["processes"]["p1"]["serviceName"] == "zipkin.default"


def test_a_retry_is_stored_once(store: RunningStore) -> None:
    one = span()
    for _ in range(2):
        assert post(store, json.dumps([one]).encode()).status_code == 202
    assert len(http.get(f"{store.query}/api/traces/{one['traceId']}").json()["data"][0]["spans"]) == 1


def test_client_and_server_that_share_an_id_are_told_apart(store: RunningStore) -> None:
    trace_id = new_trace_id().hex()
    spans = [
        span(traceId=trace_id, kind="CLIENT"),
        span(traceId=trace_id, kind="SERVER", shared=True, localEndpoint={"serviceName": "server.default"}),
        span(traceId=trace_id, id="b1", parentId="a1", localEndpoint={"serviceName": "server.default"}),
    ]
    for one in spans:
        assert post(store, json.dumps([one]).encode()).status_code == 202
    found = http.get(f"{store.query}/api/traces/{trace_id}").json()["data"][0]["spans"]
    client, server, inside = found
    assert len({one["spanID"] for one in found}) == 3
    assert client["references"] == []
    assert server["references"][0]["spanID"] == client["spanID"]
    assert inside["references"][0]["spanID"] == server["spanID"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"{}", "expected a list of spans"),
        (b"[5]", "span 0: expected an object"),
        (b"[{}]", "span 0.traceId"),
        (b'[{"traceId":"0","id":"1"}]', "must not be zero"),
        (b'[{"traceId":"1","id":"0"}]', "must not be zero"),
        (b'[{"traceId":"xyz","id":"1"}]', "hexadecimal"),
        (b'[{"traceId":"111111111111111111111111111111111","id":"1"}]', "1 to 32 hexadecimal"),
        (b'[{"traceId":"1","id":"11111111111111111"}]', "1 to 16 hexadecimal"),
        (b'[{"traceId":"1","id":"1","timestamp":"soon"}]', "timestamp"),
        (b'[{"traceId":"1","id":"1","duration":-5}]', "duration"),
        (b'[{"traceId":"1","id":"1","tags":{"a":5}}]', "tags.a: expected a string"),
        (b'[{"traceId":"1","id":"1","tags":[]}]', "tags: expected an object"),
        (b'[{"traceId":"1","id":"1","annotations":{}}]', "annotations: expected a list"),
        (b'[{"traceId":"1","id":"1","annotations":[{"value":"x"}]}]', "annotations.timestamp"),
        (b'[{"traceId":"1","id":"1","localEndpoint":{"ipv4":"1.2.3"}}]', "an IP address"),
        (b'[{"traceId":"1","id":"1","localEndpoint":{"port":70000}}]', "port"),
    ],
)
def test_a_wrong_span_refuses_the_request_whole(store: RunningStore, body: bytes, message: str) -> None:
    good = span()
    whole = body.replace(b"[{", b"[" + json.dumps(good).encode() + b",{", 1) if body.startswith(b"[{") else body
    response = post(store, whole)
    assert response.status_code == 400
    assert message.replace("span 0", "span 1" if whole is not body else "span 0") in response.text
    assert http.get(f"{store.query}/api/traces/{good['traceId']}").status_code == 404


def test_other_formats_are_refused(store: RunningStore) -> None:
    assert post(store, b"", content_type="application/x-protobuf").status_code == 415
    assert http.get(f"{store.zipkin}/api/v2/spans").status_code == 405
    assert http.post(f"{store.zipkin}/api/v1/spans").status_code == 404


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("1f")
_endpoints = st.dictionaries(st.sampled_from(["serviceName", "ipv4", "port"]), _scalars, max_size=3) | _scalars
_fields = {
    "traceId": _scalars,
    "id": _scalars,
    "parentId": _scalars,
    "kind": _scalars,
    "timestamp": _scalars,
    "duration": _scalars,
    "localEndpoint": _endpoints,
    "tags": st.dictionaries(st.sampled_from(["error", "otlp.link.0", "span.kind"]), st.text(max_size=9)) | _scalars,
    "annotations": st.lists(st.fixed_dictionaries({"timestamp": _scalars, "value": _scalars}), max_size=2),
}


@given(st.lists(st.fixed_dictionaries({}, optional=_fields), max_size=3) | _scalars)
def test_random_spans_are_refused_or_stored(spans: Any) -> None:
    store = TraceStore()
    try:
        message = parse_spans(json.dumps(spans).encode())
    except RefusedError:
        return
    outcome = store.add(message.SerializeToString())
    assert outcome.rejected == 0
    assert store.index.span_count == outcome.accepted
