"""Start and end of the real processes."""

from __future__ import annotations

import signal
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.services.harness import (
    DATABASES,
    FORMS,
    IMPLEMENTATIONS,
    KINDS,
    Answer,
    Collector,
    Implementation,
    Process,
    Upstream,
    client,
    refused,
    run_to_end,
    wait_for,
)

each = pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=str)
each_kind = pytest.mark.parametrize("implementation", KINDS, ids=str)
CALLING = [one for one in KINDS if one.upstream]
each_calling_kind = pytest.mark.parametrize("implementation", CALLING, ids=str)
each_database = pytest.mark.parametrize("database", DATABASES, ids=str)
each_form = pytest.mark.parametrize("form", FORMS)

# Once for each way of serving; that no implementation breaks an answer is test_end_under_load.
ENDS = [(one, "otel", signal.SIGTERM) for one in KINDS if one.upstream]
ENDS += [(one, "plain", signal.SIGINT) for one in KINDS if one.upstream]


@pytest.mark.parametrize(
    ("implementation", "form", "number"), ENDS, ids=[f"{one}-{form}-{number.name}" for one, form, number in ENDS]
)
def test_end_finishes_what_is_in_flight(implementation: Implementation, form: str, number: int) -> None:
    gate = threading.Event()
    with Upstream(implementation.upstream_answer) as upstream, Collector() as collector:
        upstream.answer = Answer(gate=gate, body=upstream.healthy.body)
        environment = implementation.upstream_at(upstream.url, 30) | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        process = Process(implementation, form, **environment)
        try:
            with ThreadPoolExecutor(6) as pool:
                slow = [pool.submit(process.get) for _ in range(6)]
                wait_for(lambda: len(upstream.seen) == 6, "six requests in flight")
                process.terminate(number)
                wait_for(lambda: refused(process.port), "the port to close while requests are in flight")
                assert process.popen.poll() is None
                gate.set()
                for one in slow:
                    implementation.check(one.result())
            began = time.monotonic()
            assert process.wait() == 0
            assert time.monotonic() - began < 5
        finally:
            gate.set()
            process.kill()
        if form == "otel":
            servers = [span for span in collector.spans if span.kind == "server"]
            assert len(servers) == 6, "the spans of the last requests are flushed"


@each_database
@each_form
def test_end_of_database_waits_for_a_query(database: Implementation, form: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.db"
    process = Process(database, form, DATABASE_URL=f"sqlite:///{file}")
    try:
        assert process.get().status_code == 200
        lock = sqlite3.connect(file, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(process.get)
            time.sleep(0.3)  # the query has no sign of life to wait for: it stands at the lock
            process.terminate()
            lock.execute("COMMIT")
            lock.close()
            assert slow.result().json() == database.answer
        assert process.wait() == 0
    finally:
        process.kill()


# Ten seconds each: of all kinds together in the matrix.
@pytest.mark.parametrize(
    "implementation",
    [pytest.param(one, marks=pytest.mark.matrix if one != CALLING[0] else ()) for one in CALLING],
    ids=str,
)
def test_end_does_not_wait_for_ever(implementation: Implementation) -> None:
    gate = threading.Event()
    with Upstream(implementation.upstream_answer) as upstream, ThreadPoolExecutor(1) as pool:
        upstream.answer = Answer(gate=gate)
        process = Process(implementation, "plain", **implementation.upstream_at(upstream.url, 60))
        try:
            stuck = pool.submit(process.get)
            wait_for(lambda: upstream.seen, "the request in flight")
            began = time.monotonic()
            process.terminate()
            assert process.wait() == 0
            assert 9 < time.monotonic() - began < 14
        finally:
            process.kill()
            gate.set()
        assert isinstance(stuck.exception(), httpx.TransportError) or stuck.result().status_code >= 500


# Every implementation in the otel form, which has more to do at its end; plain once for each way of serving.
UNDER_LOAD = [pytest.param(one, "otel", id=f"{one}-otel") for one in IMPLEMENTATIONS] + [
    pytest.param(one, "plain", id=f"{one}-plain", marks=pytest.mark.matrix) for one in KINDS
]


@pytest.mark.parametrize(("implementation", "form"), UNDER_LOAD)
def test_end_under_load_breaks_no_answer(implementation: Implementation, form: str) -> None:
    """Each request is answered in full or not accepted at all, on connections of their own and on kept ones.

    A sidecar keeps its connections and goes on sending: the service has to end them.
    """
    with Upstream(implementation.upstream_answer) as upstream:
        environment = implementation.upstream_at(upstream.url) | {"OTEL_TRACES_EXPORTER": "none"}
        process = Process(implementation, form, **environment)
        # Flow by flow: how many requests were answered. A list, since the count matters while the flows run.
        answered = [0] * 4

        def flow(number: int) -> None:
            headers = {"connection": "close"} if number % 2 else {}
            with client(process.url) as http:
                while True:
                    try:
                        answer = http.get(implementation.path, headers=headers)
                    except httpx.TransportError:
                        # Refused; or accepted by the kernel and never by the service: its queue goes with the socket.
                        return
                    implementation.check(answer)
                    answered[number] += 1

        try:
            with ThreadPoolExecutor(4) as pool, socket.create_connection(("127.0.0.1", process.port)):
                flows = [pool.submit(flow, number) for number in range(4)]
                wait_for(lambda: min(answered) > 5, "load")
                began = time.monotonic()
                process.terminate()
                for one in flows:
                    one.result()
                assert process.wait() == 0
                assert time.monotonic() - began < 5
        finally:
            process.kill()
        if implementation.upstream:
            assert len(upstream.seen) == sum(answered), "what reached the upstream was answered"


@each_kind
@pytest.mark.parametrize("collector", [pytest.param("closed", marks=pytest.mark.matrix), "silent"])
def test_collector_down_costs_no_request_and_little_at_the_end(implementation: Implementation, collector: str) -> None:
    with Upstream(implementation.upstream_answer) as upstream, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if collector == "closed":
            silent.close()
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        process = Process(implementation, "otel", **environment, **implementation.upstream_at(upstream.url))
        try:
            for _ in range(30):
                answer = process.get()
                assert answer.status_code == 200
                assert answer.elapsed.total_seconds() < 1
            process.terminate()
            began = time.monotonic()
            assert process.wait() == 0
            assert time.monotonic() - began < 3, "2 s, and a second for a busy machine"
        finally:
            process.kill()
        complaints = [entry for entry in process.logs() if entry["level"] in ("warning", "error")]
        assert len(complaints) <= 2, complaints


@each_database
@pytest.mark.parametrize(
    "url",
    ["mysql://u:hunter2@h/db", "postgresql://u:hunter2@h:port/db", "sqlite://hunter2/x", "sqlite:hunter2", "hunter2"],
)
def test_wrong_database_url_stays_hidden(database: Implementation, url: str) -> None:
    done = run_to_end(database, "plain", DATABASE_URL=url)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("database: DATABASE_URL=(hidden) is not allowed, expected sqlite://")
    assert "hunter2" not in line


@each_kind
@pytest.mark.parametrize(("form", "variable"), [("plain", "PORT"), ("otel", "CONTROL_PORT")])
def test_busy_port_is_one_line_and_status_2(implementation: Implementation, form: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        environment = {"PROPAGATION_CONTROL": "on", "CONTROL_PORT": "0", variable: str(port)}
        done = run_to_end(implementation, form, **environment)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == (
        f"{implementation.service}: {variable}={port}: the port is in use on 127.0.0.1, choose another {variable}"
    )


@each_kind
def test_address_that_is_not_ours(implementation: Implementation) -> None:
    done = run_to_end(implementation, "plain", HOST="192.0.2.1")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{implementation.service}: cannot listen on 192.0.2.1 port 0 (PORT): ")


@each_kind
def test_empty_value_is_the_default(implementation: Implementation) -> None:
    empty = dict.fromkeys(("LOG_LEVEL", "PROPAGATION", "CONTROL_PORT", "DATABASE_URL"), "")
    # What an SDK would stumble over does not concern the plain form: FastAPI imports its API, which reads this.
    with Process(implementation, "plain", **empty, OTEL_PROPAGATORS="xray") as process:
        assert process.get("/healthz").status_code == 200


@each_kind
def test_no_proxy_from_the_environment(implementation: Implementation) -> None:
    """A laptop behind a proxy: neither the request to the upstream nor the export may go there."""
    with Upstream(implementation.upstream_answer) as upstream, Collector() as collector:
        proxy = "http://127.0.0.1:9"
        environment = {"HTTP_PROXY": proxy, "http_proxy": proxy, "ALL_PROXY": proxy}
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        with Process(implementation, "otel", **environment, **implementation.upstream_at(upstream.url)) as process:
            implementation.check(process.get())
        assert collector.spans
