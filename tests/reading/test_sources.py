from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.model.recorded import EPOCH_US, as_jaeger, recorded
from tests.reading.jaeger_server import jaeger_server

from meshtrail.errors import MeshtrailError
from meshtrail.model.trace import Trace
from meshtrail.reading.access import Access
from meshtrail.reading.sources import Source, from_file, from_jaeger

FIRST, SECOND = recorded("otlp-backend-none")
LATER = Trace.of(
    replace(span, trace_id="a" * 32, start_us=span.start_us + 5_000_000) for span in recorded("otlp-all")[0].spans
)
OWN = Trace.of([replace(FIRST.spans[0], trace_id="b" * 32, service="jaeger", tags={})])


def found(source: Source, *, service: str | None = None, since_us: int = 0, limit: int = 100) -> set[str]:
    traces = [trace.trace_id for trace in source.traces(service=service, since_us=since_us, limit=limit)]
    assert len(set(traces)) == len(traces)
    return set(traces)


@pytest.fixture(params=["classic", "v3", "both", "file"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    traces = (FIRST, SECOND, LATER, OWN)
    if request.param == "file":
        file = tmp_path / "traces.json"
        file.write_text(json.dumps({"data": [as_jaeger(trace) for trace in traces]}))
        yield from_file(file)
        return
    with jaeger_server(*traces, classic=request.param != "v3", v3=request.param != "classic") as server:
        yield from_jaeger(Access.of(server.url))


def test_all_traces_but_jaegers_own_each_once(source: Source) -> None:
    assert found(source) == {FIRST.trace_id, SECOND.trace_id, LATER.trace_id}


def test_of_a_service_since_a_time_and_no_more_than_asked_for(source: Source) -> None:
    assert found(source, service="istio-ingressgateway.istio-system") == {FIRST.trace_id, LATER.trace_id}
    assert found(source, since_us=EPOCH_US + 1_000_000) == {LATER.trace_id}
    assert found(source, limit=1) == {LATER.trace_id}
    assert found(source, service="no such") == set()
    assert found(source, service="jaeger") == {OWN.trace_id}


def test_an_address_shows_no_secret() -> None:
    assert from_jaeger(Access.of("http://ada:secret@127.0.0.1:1/jaeger/")).address == "http://127.0.0.1:1/jaeger"
    assert from_file("-").address == "standard input"


def test_a_classic_jaeger_with_too_many_services_to_ask_each() -> None:
    many = [Trace.of([replace(OWN.spans[0], trace_id=f"{at:032x}", service=f"s{at}")]) for at in range(1, 52)]
    with jaeger_server(*many, v3=False) as server:
        with pytest.raises(MeshtrailError, match="51 services") as caught:
            found(from_jaeger(Access.of(server.url)))
        assert "--service" in caught.value.mend
        server.v3 = True
        assert len(found(from_jaeger(Access.of(server.url)))) == 51


def test_an_empty_jaeger() -> None:
    with jaeger_server() as server:
        assert found(from_jaeger(Access.of(server.url))) == set()


def test_a_v3_that_finds_nothing_without_a_service_is_asked_for_each() -> None:
    with jaeger_server(FIRST, SECOND) as server:
        reply = server.reply

        def picky(path: str, authorization: str = "") -> tuple[int, str, bytes]:
            if "/api/v3/traces" in path and "service_name" not in path:
                return 404, "application/json", b'{"error": {"httpCode": 404, "message": "No traces found"}}'
            return reply(path, authorization)

        server.reply = picky  # type: ignore[method-assign]
        assert found(from_jaeger(Access.of(server.url))) == {FIRST.trace_id, SECOND.trace_id}
