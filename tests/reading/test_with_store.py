"""The client against the store that meshtrail runs: spans go in as OTLP, requests come out whole."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.model.recorded import recorded

from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient
from meshtrail.reading.search import last_requests, request_of_trace, requests_of_id

OTLP_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
PORTS = ("--otlp-grpc-port", "--otlp-http-port", "--zipkin-port", "--query-port")


@pytest.fixture
def store() -> Iterator[dict[str, str]]:
    """Addresses of a store of its own: `otlp_http` and `query`."""
    command = [sys.executable, "-m", "meshtrail.store", *(word for port in PORTS for word in (port, "0"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(30)


def test_what_envoy_sends_comes_back_as_requests(store: dict[str, str]) -> None:
    now = time.time()
    whole = recorded("otlp-all", at_us=int((now - 20) * 1_000_000))
    pieces = recorded("otlp-backend-none", at_us=int((now - 10) * 1_000_000))
    for trace in (*whole, *pieces):
        httpx.post(f"{store['otlp_http']}/v1/traces", json=_otlp(trace), trust_env=False).raise_for_status()
    with JaegerClient(store["query"]) as client:
        got = client.wait_for_trace(lambda trace: len(trace.spans) == 7, trace_id=whole[0].trace_id)
        assert got.complete
        assert [(span.parent_id, span.kind, span.maker, span.http_status) for span in got.spans] == [
            (span.parent_id, span.kind, span.maker, span.http_status) for span in whole[0].spans
        ]
        assert [request.summary for request in last_requests(client, 5)] == [
            "one trace, complete",
            "broken in 2 pieces at backend.default",
        ]
        request = request_of_trace(client, pieces[1].trace_id)
        assert request is not None
        assert [trace.trace_id for trace in request.traces] == [trace.trace_id for trace in pieces]
        assert len(requests_of_id(client, whole[0].spans[0].request_id or "")) == 1
        assert client.trace("f" * 32) is None


def _otlp(trace: Trace) -> dict[str, Any]:
    resources = []
    for service in trace.services:
        spans = [_otlp_span(span) for span in trace.spans if span.service == service]
        resource = {"attributes": [_attribute("service.name", service)]}
        resources.append({"resource": resource, "scopeSpans": [{"scope": {"name": "envoy"}, "spans": spans}]})
    return {"resourceSpans": resources}


def _otlp_span(span: Any) -> dict[str, Any]:
    made_by_jaeger = ("span.kind", "error", "otel.")
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id or "",
        "name": span.name,
        "kind": OTLP_KINDS[span.kind],
        "startTimeUnixNano": str(span.start_us * 1000),
        "endTimeUnixNano": str(span.end_us * 1000),
        "attributes": [_attribute(k, v) for k, v in span.tags.items() if not k.startswith(made_by_jaeger)],
        "status": {"code": 2 if span.error else 0},
    }


def _attribute(key: str, value: object) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": str(value)}}
