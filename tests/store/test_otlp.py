"""OTLP over gRPC and HTTP, on a real store."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.store.conftest import RunningStore, StartStore, http
from tests.store.spans import T0_NS, new_trace_id, request

from meshtrail.store.limits import Limits
from meshtrail.store.otlp_json import parse_request
from meshtrail.store.refused import RefusedError
from meshtrail.store.store import TraceStore

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
LIMIT = 1_000_000


@pytest.fixture(scope="module")
def small(request: pytest.FixtureRequest) -> Any:
    """A store that takes bodies up to LIMIT."""
    from tests.store.conftest import running_store

    with running_store("--max-body", str(LIMIT)) as running:
        yield running


def stored(running: RunningStore, trace_id: bytes) -> list[dict[str, Any]]:
    response = http.get(f"{running.query}/api/traces/{trace_id.hex()}")
    return response.json()["data"][0]["spans"] if response.is_success else []


def export(running: RunningStore, data: bytes, compression: grpc.Compression = grpc.Compression.NoCompression) -> bytes:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(running.otlp_grpc, options=options, compression=compression) as channel:
        answer: bytes = channel.unary_unary(EXPORT)(data, timeout=10)
        return answer


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_grpc_stores(store: RunningStore, compression: grpc.Compression) -> None:
    trace_id = new_trace_id()
    assert export(store, request(trace_id, 20).SerializeToString(), compression) == b""
    assert len(stored(store, trace_id)) == 20


@pytest.mark.parametrize(
    ("data", "compression", "code"),
    [
        (b"\x0a\xff", grpc.Compression.NoCompression, grpc.StatusCode.INVALID_ARGUMENT),
        (b"not protobuf at all", grpc.Compression.Gzip, grpc.StatusCode.INVALID_ARGUMENT),
        (bytes(LIMIT + 1), grpc.Compression.NoCompression, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (bytes(50 * LIMIT), grpc.Compression.Gzip, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (b"", grpc.Compression.Deflate, grpc.StatusCode.UNIMPLEMENTED),
        (b"\x1f\x8b" + bytes(30), grpc.Compression.NoCompression, grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["cut", "gzip", "large", "bomb", "deflate", "false-gzip"],
)
def test_grpc_refuses(small: RunningStore, data: bytes, compression: grpc.Compression, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        export(small, data, compression)
    assert refused.value.code() is code
    assert small.rss_kib() < 120_000
    export(small, request(trace_id := new_trace_id()).SerializeToString())
    assert stored(small, trace_id)


def test_grpc_other_services_are_unimplemented(store: RunningStore) -> None:
    with grpc.insecure_channel(store.otlp_grpc) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")(b"", timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_partial_success_on_both_transports(store: RunningStore) -> None:
    message = request(trace_id := new_trace_id(), 3)
    message.resource_spans[0].scope_spans[0].spans[1].span_id = b""
    data = message.SerializeToString()
    by_grpc = ExportTraceServiceResponse.FromString(export(store, data))
    by_http = http.post(f"{store.otlp_http}/v1/traces", content=data, headers=PROTOBUF)
    for answer in (by_grpc, ExportTraceServiceResponse.FromString(by_http.content)):
        assert answer.partial_success.rejected_spans == 1
        assert "invalid span id" in answer.partial_success.error_message
    assert len(stored(store, trace_id)) == 2


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_http_stores_protobuf(store: RunningStore, encoding: str) -> None:
    body = request(trace_id := new_trace_id(), 5).SerializeToString()
    body = gzip.compress(body) if encoding == "gzip" else body
    response = http.post(
        f"{store.otlp_http}/v1/traces", content=body, headers=PROTOBUF | {"content-encoding": encoding}
    )
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/x-protobuf"
    assert len(stored(store, trace_id)) == 5


def test_http_takes_a_chunked_body(store: RunningStore) -> None:
    body = request(trace_id := new_trace_id(), 5).SerializeToString()
    chunks = (body[at : at + 7] for at in range(0, len(body), 7))
    assert http.post(f"{store.otlp_http}/v1/traces", content=chunks, headers=PROTOBUF).status_code == 200
    assert len(stored(store, trace_id)) == 5


def test_json_in_all_its_spellings(store: RunningStore) -> None:
    trace_id = new_trace_id().hex()
    span = {
        "traceId": trace_id.upper(),
        "spanId": "00000000000000A1",
        "name": "json",
        "kind": "SPAN_KIND_SERVER",
        "startTimeUnixNano": str(T0_NS),
        "endTimeUnixNano": T0_NS + 5_000_000,
        "status": {"code": "STATUS_CODE_ERROR"},
        "attributes": [
            {"key": "string-int", "value": {"intValue": "-7"}},
            {"key": "int", "value": {"intValue": 7}},
            {"key": "float", "value": {"doubleValue": "NaN"}},
            {"key": "surrogate", "value": {"stringValue": "\ud83d"}},
            {"key": "null", "value": None},
        ],
        "somethingNew": {"deep": [1, 2, {"x": None}]},
    }
    snake = {
        "trace_id": trace_id,
        "span_id": "00000000000000b1",
        "parent_span_id": "00000000000000a1",
        "name": "snake",
        "kind": 3,
        "start_time_unix_nano": str(T0_NS),
        "end_time_unix_nano": str(T0_NS + 1000),
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span, snake]}]}], "extra": 1}
    response = http.post(f"{store.otlp_http}/v1/traces", content=json.dumps(body), headers=JSON)
    assert (response.status_code, response.json()) == (200, {})
    first, second = stored(store, bytes.fromhex(trace_id))
    assert (first["spanID"], first["duration"], second["references"][0]["spanID"]) == (
        "00000000000000a1",
        5000,
        "00000000000000a1",
    )
    tags = {tag["key"]: tag["value"] for tag in first["tags"]}
    assert tags["string-int"] == -7
    assert tags["float"] == "nan"
    assert tags["span.kind"] == "server"
    assert tags["error"] is True
    assert tags["surrogate"] == "�"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        pytest.param(b"[" * 100_000, "not valid JSON", id="deep"),
        (b"[]", "the body: expected an object"),
        (b'{"resourceSpans": 5}', "resourceSpans: expected a list"),
        (b'{"resourceSpans": [5]}', "resourceSpans[0]: expected an object"),
        (
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xy"}]}]}]}',
            "traceId: expected hexadecimal",
        ),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"NONE"}]}]}]}', "kind: expected a whole number"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1}]}]}]}', "startTimeUnixNano"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"endTimeUnixNano":"1e99"}]}]}]}', "endTimeUnixNano"),
        (b'{"resourceSpans":[{"resource":{"attributes":[{"value":{"boolValue":1}}]}}]}', "boolValue"),
        (b'{"resourceSpans":[{"resource":{"attributes":[{"value":{"bytesValue":"*"}}]}}]}', "base64"),
    ],
)
def test_wrong_json_names_the_field(store: RunningStore, body: bytes, message: str) -> None:
    response = http.post(f"{store.otlp_http}/v1/traces", content=body, headers=JSON)
    assert response.status_code == 400
    assert response.json()["code"] == 3
    assert message in response.json()["message"]


def test_deep_attributes_are_refused() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(Limits().max_nesting):
        value = {"arrayValue": {"values": [value]}}
    body = {"resourceSpans": [{"resource": {"attributes": [{"key": "deep", "value": value}]}}]}
    with pytest.raises(RefusedError, match="nested deeper"):
        parse_request(json.dumps(body).encode(), Limits())


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status"),
    [
        ("GET", "/v1/traces", {}, b"", 405),
        ("POST", "/v1/logs", PROTOBUF, b"", 404),
        ("POST", "/v1/metrics", PROTOBUF, b"", 404),
        ("POST", "/v1/traces", {"content-type": "text/plain"}, b"", 415),
        ("POST", "/v1/traces", {}, b"", 415),
        ("POST", "/v1/traces", PROTOBUF | {"content-encoding": "br"}, b"", 415),
        ("POST", "/v1/traces", PROTOBUF | {"content-encoding": "gzip"}, b"not gzip", 400),
        ("POST", "/v1/traces", PROTOBUF | {"content-encoding": "gzip"}, gzip.compress(b"abc")[:-4], 400),
        ("POST", "/v1/traces", PROTOBUF | {"content-encoding": "gzip"}, gzip.compress(b"") * 1000, 400),
        ("POST", "/v1/traces", PROTOBUF | {"content-encoding": "gzip"}, gzip.compress(bytes(50 * LIMIT)), 413),
        ("POST", "/v1/traces", PROTOBUF, bytes(LIMIT + 1), 413),
        ("POST", "/v1/traces", PROTOBUF, b"\x0a\xff", 400),
    ],
    ids=[
        "method",
        "logs",
        "metrics",
        "text",
        "untyped",
        "br",
        "not-gzip",
        "cut-gzip",
        "members",
        "bomb",
        "large",
        "malformed",
    ],
)
def test_http_refuses(
    small: RunningStore, method: str, path: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    response = http.request(method, small.otlp_http + path, headers=headers, content=content)
    assert response.status_code == status
    if status in (400, 413) and headers["content-type"] == PROTOBUF["content-type"]:
        assert response.headers["content-type"] == PROTOBUF["content-type"]
        assert response.content[:2] == (b"\x08\x08" if status == 413 else b"\x08\x03")
    assert small.rss_kib() < 120_000


def test_an_endless_chunked_body_is_cut_off(small: RunningStore) -> None:
    host, port = small.otlp_http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        answer = b""
        for _ in range(200):
            try:
                connection.sendall(chunk)
            except OSError:
                break
        while b"\r\n\r\n" not in answer and (part := connection.recv(4096)):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "resourceSpans",
                    "scopeSpans",
                    "spans",
                    "traceId",
                    "spanId",
                    "kind",
                    "attributes",
                    "value",
                    "kvlistValue",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_json.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=100))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_random_json_is_refused_or_read(data: bytes) -> None:
    try:
        message = parse_request(data, Limits())
    except RefusedError:
        return
    store = TraceStore()
    assert store.add(message.SerializeToString()).accepted == store.index.span_count


async def test_reads_during_ingest_see_whole_requests(start_store: StartStore) -> None:
    """Every span of a request becomes visible together."""
    running = start_store()
    ids = [new_trace_id() for _ in range(30)]
    counts: set[int] = set()
    async with httpx.AsyncClient() as client:

        async def write() -> None:
            for trace_id in ids:
                for part in range(4):
                    body = request(trace_id, 10, name=f"part {part}").SerializeToString()
                    (
                        await client.post(f"{running.otlp_http}/v1/traces", content=body, headers=PROTOBUF)
                    ).raise_for_status()

        async def read(writing: asyncio.Task[None]) -> None:
            while not writing.done():
                answer = await client.get(f"{running.query}/api/traces?service=frontend.default&limit=50&start=1")
                for trace in answer.json()["data"]:
                    counts.add(len(trace["spans"]))

        writing = asyncio.create_task(write())
        await asyncio.gather(writing, read(writing), read(writing))
    assert counts <= {10, 20, 30, 40}
    assert len(counts) > 1
