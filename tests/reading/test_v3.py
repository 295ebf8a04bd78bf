"""The v3 API: from a server that speaks nothing else, and from the store, in JSON and in protobuf."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from tests.model.recorded import EPOCH_US, recorded
from tests.reading.jaeger_server import jaeger_server
from tests.reading.otlp import as_otlp
from tests.reading.store import running_store

from meshtrail.model.span import Scalar, Span
from meshtrail.model.trace import Trace
from meshtrail.reading import otlp
from meshtrail.reading.jaeger import JaegerClient, JaegerError
from meshtrail.reading.otlp_binary import IDLE


def facts(trace: Trace) -> list[tuple[object, ...]]:
    return [
        (span.span_id, span.parent_id, span.service, span.name, span.kind, span.http_status, span.error, span.start_us)
        for span in trace.spans
    ]


def busy(span: Span) -> dict[str, Scalar]:
    """The tags that are read where thousands of spans are."""
    return {key: value for key, value in span.tags.items() if key not in IDLE}


def test_a_server_that_speaks_v3_alone() -> None:
    first, second = recorded("otlp-backend-none")
    with jaeger_server(first, second, classic=False) as server, JaegerClient(server.url) as client:
        got = client.trace(first.trace_id)
        assert got is not None
        assert facts(got) == facts(first)
        assert "backend.default" in client.services()
        found = client.find("backend.default", start_us=EPOCH_US - 1, end_us=EPOCH_US + 10**6)
        assert [trace.trace_id for trace in found] == [first.trace_id, second.trace_id]
        assert client.find("no such", start_us=EPOCH_US - 1, end_us=EPOCH_US + 10**6) == ()
        assert client.trace("f" * 32) is None


def test_an_empty_one() -> None:
    with jaeger_server(classic=False) as server, JaegerClient(server.url) as client:
        assert client.services() == ()
        assert client.find_any() == ()


def test_neither_api_says_what_the_classic_one_was() -> None:
    with (
        jaeger_server(answer=(200, "text/html", b"<!doctype html><title>Grafana</title>")) as server,
        JaegerClient(server.url) as client,
        pytest.raises(JaegerError, match="/api/services does not answer as Jaeger's"),
    ):
        client.services()


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    with running_store() as addresses:
        yield addresses


def test_both_apis_and_both_encodings_give_the_same(store: dict[str, str]) -> None:
    now_us = int(time.time() * 1_000_000)
    sent = [*recorded("application-error", at_us=now_us - 10**7), *recorded("otlp-backend-none", at_us=now_us - 10**6)]
    for trace in sent:
        httpx.post(f"{store['otlp_http']}/v1/traces", json=as_otlp(trace), trust_env=False).raise_for_status()
    with JaegerClient(store["query"]) as client:
        everything = client.search_all(start_us=now_us - 10**8, end_us=now_us + 10**8)
        assert everything is not None
        binary = everything.read(everything.ask(now_us - 10**8, now_us + 10**8, 100))
        of_one = client.search("backend.default")
        classic = of_one.read(of_one.ask(now_us - 10**8, now_us + 10**8, 100))
    assert [trace.trace_id for trace in binary] == [trace.trace_id for trace in sent]
    assert [facts(trace) for trace in binary] == [facts(trace) for trace in classic]
    for one, other in zip(binary, classic, strict=True):
        assert [span.tags for span in one.spans] == [busy(span) for span in other.spans]
    for trace in binary:
        answer = httpx.get(f"{store['query']}/api/v3/traces/{trace.trace_id}", trust_env=False).json()
        (read,) = otlp.traces_of(otlp.spans_of(answer))
        assert facts(read) == facts(trace)
        assert [busy(span) for span in read.spans] == [span.tags for span in trace.spans]
