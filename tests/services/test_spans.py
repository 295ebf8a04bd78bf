"""The spans of the otel form, as an OTLP collector gets them."""

from __future__ import annotations

import secrets
import threading

import pytest
from tests.services.conftest import Setup
from tests.services.harness import (
    BACKEND,
    DATABASE,
    DATABASES,
    FRONTEND,
    KINDS,
    Answer,
    Collector,
    Implementation,
    Process,
    Span,
    Upstream,
    wait_for,
)

each_database = pytest.mark.parametrize("database", DATABASES, ids=str)
PARENT = "b7ad6b7169203331"


def ask(setup: Setup, **headers: str) -> dict[str, Span]:
    """Send a request with a sampled traceparent; return the spans that came of it, by name."""
    trace = secrets.token_hex(16)
    setup.process.get(headers={"traceparent": f"00-{trace}-{PARENT}-01", **headers})
    return setup.collector.trace(trace, len(setup.implementation.spans))


def test_tree(traced: Setup) -> None:
    spans = ask(traced)
    tree = traced.implementation.spans
    assert spans.keys() == tree.keys()
    for name, (kind, parent) in tree.items():
        assert spans[name].kind == kind
        assert spans[name].parent == (spans[parent].id if parent else PARENT)
        assert spans[name].service == traced.implementation.service
        assert not spans[name].error


def test_what_is_injected_is_exported(traced_calling: Setup) -> None:
    """No phantom parent: the span that the next service sees as its parent reaches the collector."""
    (client,) = [span for span in ask(traced_calling).values() if span.kind == "client"]
    (seen,) = traced_calling.upstream.seen
    assert seen["traceparent"].split("-")[2] == seen["x-b3-spanid"] == client.id


def test_stable_names_of_attributes(traced: Setup) -> None:
    spans = ask(traced)
    server = next(span for span in spans.values() if span.kind == "server")
    assert server.attributes["http.request.method"] == "GET"
    assert server.attributes["http.route"] == (traced.implementation.route or traced.implementation.path)
    assert server.attributes["http.response.status_code"] == 200
    assert not [name for span in spans.values() for name in span.attributes if name in ("http.method", "http.url")]


@each_database
def test_sql_span(database: Implementation) -> None:
    with Collector() as collector:
        with Process(database, "otel", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as process:
            trace = secrets.token_hex(16)
            process.get(headers={"traceparent": f"00-{trace}-{PARENT}-01"})
        attributes = collector.trace(trace, 2)["SELECT records"].attributes
    assert attributes["db.system.name"] == "sqlite"
    assert attributes["db.namespace"] == ":memory:"
    assert attributes["db.query.text"] == "SELECT count(*) FROM records"
    assert attributes["db.operation.name"] == "SELECT"
    assert attributes["db.collection.name"] == "records"


def test_b3_is_read_and_w3c_wins(traced: Setup) -> None:
    b3, w3c = secrets.token_hex(16), secrets.token_hex(16)
    headers = {"x-b3-traceid": b3, "x-b3-spanid": PARENT, "x-b3-sampled": "1"}
    count = len(traced.implementation.spans)
    traced.process.get(headers=headers)
    assert [span.parent for span in traced.collector.trace(b3, count).values()].count(PARENT) == 1
    traced.process.get(headers=headers | {"traceparent": f"00-{w3c}-{PARENT}-01"})
    traced.collector.trace(w3c, count)
    assert len([span for span in traced.collector.spans if span.trace == b3]) == count


@pytest.mark.parametrize("implementation", [one for one in KINDS if one.language != "python"], ids=str)
def test_variables_of_the_sdk(implementation: Implementation) -> None:
    """Of the formats the last listed wins, and the single b3 header is written when it is listed."""
    b3, w3c = secrets.token_hex(16), secrets.token_hex(16)
    with Upstream(implementation.upstream_answer) as upstream, Collector() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_PROPAGATORS": "tracecontext,baggage,b3",
            "OTEL_SERVICE_NAME": "renamed",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=not-this,team=blue",
        }
        with Process(implementation, "otel", **environment, **implementation.upstream_at(upstream.url)) as process:
            process.get(headers={"b3": f"{b3}-{PARENT}-1", "traceparent": f"00-{w3c}-{PARENT}-01"})
        spans = collector.trace(b3, len(implementation.spans))
    assert {span.service for span in spans.values()} == {"renamed"}
    for seen in upstream.seen:
        assert seen["b3"].split("-")[:2] == seen["traceparent"].split("-")[1:3]
        assert "x-b3-traceid" not in seen


def test_sampling_follows_the_sidecar(traced: Setup) -> None:
    unsampled = secrets.token_hex(16)
    traced.process.get(headers={"traceparent": f"00-{unsampled}-{PARENT}-00"})
    if traced.implementation.upstream:
        (seen,) = traced.upstream.seen
        assert seen["traceparent"].startswith(f"00-{unsampled}-")
        assert seen["traceparent"].endswith("-00")
        assert seen["x-b3-sampled"] == "0"
    ask(traced)  # exported later than the first would have been
    assert not [span for span in traced.collector.spans if span.trace == unsampled]


def test_without_a_caller_a_trace_begins_here(traced: Setup) -> None:
    ask(traced)  # what tests before this one made is exported before this
    known = {span.trace for span in traced.collector.spans}
    traced.process.get()
    count = len(traced.implementation.spans)
    new = wait_for(
        lambda: (
            (spans := [span for span in list(traced.collector.spans) if span.trace not in known])
            and len(spans) == count
            and spans
        ),
        "a trace of its own",
    )
    assert len({span.trace for span in new}) == 1
    assert [span.parent for span in new].count("") == 1


def test_health_makes_no_spans(traced: Setup) -> None:
    traces = [secrets.token_hex(16) for _ in range(3)]
    for path, trace in zip(("/healthz", "/readyz", "/healthz?x=1"), traces, strict=True):
        assert traced.process.get(path, headers={"traceparent": f"00-{trace}-{PARENT}-01"}).status_code == 200
    ask(traced)  # exported later than those would have been
    assert not [trace for trace in traces if traced.collector.by_trace[trace]]


@pytest.mark.parametrize("failure", ["answers 500", "not JSON", "silent"])
def test_failure_is_recorded(traced_failing: Setup, failure: str) -> None:
    assert traced_failing.implementation.failure_status
    gate = threading.Event()
    traced_failing.upstream.answer = {
        "answers 500": Answer(status=500),
        "not JSON": Answer(body=b"<html>"),
        "silent": Answer(gate=gate),
    }[failure]
    spans = ask(traced_failing)
    gate.set()
    server = next(span for span in spans.values() if span.kind == "server")
    assert server.error
    status = traced_failing.implementation.failure_status[failure == "silent"]
    assert server.attributes["http.response.status_code"] == status
    assert any("exception" in span.events for span in spans.values())
    for span in spans.values():
        if span.kind == "internal":
            assert span.error
            assert "exception" in span.events
    client = next(span for span in spans.values() if span.kind == "client")
    assert client.error is (failure != "not JSON")


def test_every_request_under_load_is_a_complete_trace(traced: Setup) -> None:
    traces = [secrets.token_hex(16) for _ in range(40)]
    for trace in traces:
        traced.process.get(headers={"traceparent": f"00-{trace}-{PARENT}-01"})
    for trace in traces:
        traced.collector.trace(trace, len(traced.implementation.spans))


@pytest.mark.parametrize("mode", ["b3", "w3c", "none"])
def test_switch_leaves_the_services_own_spans_alone(traced: Setup, mode: str) -> None:
    traced.process.switch(mode)
    assert ask(traced).keys() == traced.implementation.spans.keys()


def test_log_line_names_the_server_span(traced: Setup) -> None:
    request_id = secrets.token_hex(8)
    spans = ask(traced, **{"x-request-id": request_id})
    line = wait_for(
        lambda: [one for one in traced.process.logs() if one.get("request_id") == request_id], "the log line"
    )[0]
    server = next(span for span in spans.values() if span.kind == "server")
    assert (line["trace_id"], line["span_id"]) == (server.trace, server.id)


@each_database
def test_failing_store_is_recorded(database: Implementation, tmp_path: object) -> None:
    with Collector() as collector:
        environment = {
            "DATABASE_URL": f"sqlite:///{tmp_path}/missing/rows.db",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        with Process(database, "otel", **environment) as process:
            trace = secrets.token_hex(16)
            assert process.get(headers={"traceparent": f"00-{trace}-{PARENT}-01"}).status_code == 503
            spans = collector.trace(trace, 2)
        assert all(span.error for span in spans.values())
        assert "exception" in spans["SELECT records"].events


@pytest.mark.parametrize(
    "forms",
    [
        ("otel", "otel", "otel"),
        ("otel", "plain", "otel"),
        pytest.param(("plain", "otel", "plain"), marks=pytest.mark.matrix),  # tests/e2e/test_forms.py has it in a mesh
    ],
)
def test_chain_of_three_is_one_trace(forms: tuple[str, str, str]) -> None:
    """Without sidecars: what the SDKs make alone has one root and no gap, whichever forms are mixed."""
    with Upstream(None), Collector() as collector:
        common = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with (
            Process(DATABASE, forms[2], **common) as database,
            Process(BACKEND, forms[1], DATABASE_SERVICE_URL=database.url, **common) as backend,
            Process(FRONTEND, forms[0], BACKEND_URL=backend.url, **common) as frontend,
        ):
            trace = secrets.token_hex(16)
            answer = frontend.get(headers={"traceparent": f"00-{trace}-{PARENT}-01"})
            assert answer.json() == FRONTEND.answer
            tracing = [one for one, form in zip((FRONTEND, BACKEND, DATABASE), forms, strict=True) if form == "otel"]
            expected = sum(len(one.spans) for one in tracing)
            spans = wait_for(
                lambda: (
                    (got := [span for span in list(collector.spans) if span.trace == trace])
                    and len(got) == expected
                    and got
                ),
                f"{expected} spans",
            )
        ids = {span.id for span in spans}
        assert [span.parent for span in spans if span.parent not in ids] == [PARENT], "one entry, no phantom parent"
        assert {span.service for span in spans} == {one.service for one in tracing}
