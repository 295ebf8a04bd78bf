"""The client against the store that meshtrail runs: spans go in as OTLP, requests come out whole."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from tests.model.recorded import recorded
from tests.reading.otlp import as_otlp
from tests.reading.store import running_store

from meshtrail.reading.jaeger import JaegerClient
from meshtrail.reading.search import last_requests, request_of_trace, requests_of_id


@pytest.fixture
def store() -> Iterator[dict[str, str]]:
    """Addresses of a store of its own: `otlp_http` and `query`."""
    with running_store() as addresses:
        yield addresses


def test_what_envoy_sends_comes_back_as_requests(store: dict[str, str]) -> None:
    now = time.time()
    whole = recorded("otlp-all", at_us=int((now - 20) * 1_000_000))
    pieces = recorded("otlp-backend-none", at_us=int((now - 10) * 1_000_000))
    for trace in (*whole, *pieces):
        httpx.post(f"{store['otlp_http']}/v1/traces", json=as_otlp(trace), trust_env=False).raise_for_status()
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
