"""Start and end of the real processes."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.services.harness import (
    CALLERS,
    FORMS,
    IMPLEMENTATIONS,
    Answer,
    Collector,
    Implementation,
    Process,
    Upstream,
    run_to_end,
    wait_for,
)

each = pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=str)
each_caller = pytest.mark.parametrize("implementation", CALLERS, ids=str)
each_form = pytest.mark.parametrize("form", FORMS)


@each_caller
@each_form
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_end_finishes_what_is_in_flight(implementation: Implementation, form: str, number: int) -> None:
    gate = threading.Event()
    with Upstream(implementation.upstream_answer) as upstream, Collector() as collector:
        upstream.answer = Answer(gate=gate, body=upstream.healthy.body)
        environment = {
            implementation.upstream_variable: upstream.url,
            "UPSTREAM_TIMEOUT": "30",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        process = Process(implementation, form, **environment)
        address = ("127.0.0.1", int(process.url.rpartition(":")[2]))
        try:
            with ThreadPoolExecutor(6) as pool:
                slow = [pool.submit(process.get) for _ in range(6)]
                wait_for(lambda: len(upstream.seen) == 6, "six requests in flight")
                process.terminate(number)

                def refused() -> bool:
                    try:
                        socket.create_connection(address, timeout=1).close()
                    except OSError:
                        return True
                    return False

                wait_for(refused, "the port to close while requests are in flight")
                assert process.popen.poll() is None
                gate.set()
                assert [one.result().json() for one in slow] == [implementation.answer] * 6
            began = time.monotonic()
            assert process.wait() == 0
            assert time.monotonic() - began < 5
        finally:
            gate.set()
            process.kill()
        if form == "otel":
            servers = [span for span in collector.spans if span.kind == "server"]
            assert len(servers) == 6, "the spans of the last requests are flushed"


@each_form
def test_end_of_database_waits_for_a_query(form: str, tmp_path: Path) -> None:
    (database,) = [one for one in IMPLEMENTATIONS if one.service == "database"]
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


@each_caller
def test_end_does_not_wait_for_ever(implementation: Implementation) -> None:
    gate = threading.Event()
    with Upstream(implementation.upstream_answer) as upstream, ThreadPoolExecutor(1) as pool:
        upstream.answer = Answer(gate=gate)
        environment = {implementation.upstream_variable: upstream.url, "UPSTREAM_TIMEOUT": "60"}
        process = Process(implementation, "plain", **environment)
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


@each_caller
@each_form
def test_end_under_load_breaks_no_answer(implementation: Implementation, form: str) -> None:
    """Each request is either answered in full or not accepted at all (a kept connection that closes counts as that)."""
    with Upstream(implementation.upstream_answer) as upstream:
        process = Process(
            implementation, form, **{implementation.upstream_variable: upstream.url, "OTEL_TRACES_EXPORTER": "none"}
        )
        answered = 0

        def flow() -> int:
            count = 0
            with httpx.Client(base_url=process.url, trust_env=False, timeout=20) as client:
                while True:
                    try:
                        answer = client.get(implementation.path, headers={"connection": "close"})
                    except httpx.ConnectError:
                        return count
                    except (httpx.ReadError, httpx.RemoteProtocolError):
                        # Accepted by the kernel, never by the service: its queue goes with the socket.
                        return count
                    assert (answer.status_code, answer.json()) == (200, implementation.answer)
                    count += 1

        try:
            with ThreadPoolExecutor(4) as pool:
                flows = [pool.submit(flow) for _ in range(4)]
                wait_for(lambda: len(upstream.seen) > 40, "load")
                process.terminate()
                answered = sum(one.result() for one in flows)
            assert process.wait() == 0
        finally:
            process.kill()
        assert len(upstream.seen) == answered, "what reached the upstream was answered"


@each_caller
def test_end_does_not_wait_for_kept_connections(implementation: Implementation) -> None:
    """A sidecar keeps its connections and goes on sending; the service has to end them."""
    with Upstream(implementation.upstream_answer) as upstream:
        process = Process(implementation, "plain", **{implementation.upstream_variable: upstream.url})
        stop = threading.Event()

        def flow() -> None:
            with httpx.Client(base_url=process.url, trust_env=False, timeout=20) as client:
                while not stop.is_set():
                    try:
                        answer = client.get(implementation.path)
                    except httpx.TransportError:
                        return
                    assert (answer.status_code, answer.json()) == (200, implementation.answer)

        try:
            with ThreadPoolExecutor(5) as pool:
                idle = socket.create_connection(("127.0.0.1", int(process.url.rpartition(":")[2])))
                flows = [pool.submit(flow) for _ in range(4)]
                wait_for(lambda: len(upstream.seen) > 40, "load")
                began = time.monotonic()
                process.terminate()
                status = process.wait()
                stop.set()
                assert [one.result() for one in flows] == [None] * 4
                idle.close()
            assert status == 0
            assert time.monotonic() - began < 5
        finally:
            stop.set()
            process.kill()


@pytest.mark.parametrize("form", ["otel"])
@each
@pytest.mark.parametrize("collector", ["closed", "silent"])
def test_collector_down_costs_no_request_and_little_at_the_end(
    implementation: Implementation, form: str, collector: str
) -> None:
    with Upstream(implementation.upstream_answer) as upstream, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if collector == "closed":
            silent.close()
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        if implementation.upstream:
            environment[implementation.upstream_variable] = upstream.url
        process = Process(implementation, form, **environment)
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


@pytest.mark.parametrize("implementation", [one for one in IMPLEMENTATIONS if one.language == "python"], ids=str)
def test_plain_process_never_loads_an_sdk(implementation: Implementation) -> None:
    program = (
        f"import sys, signal, threading, {implementation.service}.plain as plain\n"
        "threading.Timer(1.0, lambda: signal.raise_signal(signal.SIGTERM)).start()\n"
        "plain.main()\n"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))\n"
    )
    environment = implementation.environment() | {"PORT": "0", "PROPAGATION_CONTROL": "on", "CONTROL_PORT": "0"}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    loaded = done.stdout.splitlines()[-1]
    assert loaded.startswith("[")
    for name in ("sdk", "exporter", "instrumentation"):
        assert f"opentelemetry.{name}" not in loaded
    if implementation.service == "backend":
        assert loaded == "[]"


WRONG = [
    ("PORT", "http", "a number from 0 to 65535"),
    ("PROPAGATION", "B3", "all, b3, w3c, none"),
    ("UPSTREAM_URL", "backend:8080", "http://name:8080"),
]


@each_caller
@pytest.mark.parametrize(("name", "value", "allowed"), WRONG, ids=[f"{name}={value}" for name, value, _ in WRONG])
def test_wrong_value_is_one_line_and_status_2(
    implementation: Implementation, name: str, value: str, allowed: str
) -> None:
    name = implementation.upstream_variable if name == "UPSTREAM_URL" else name
    done = run_to_end(implementation, "plain", **{name: value})
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{implementation.service}: {name}='{value}' is not allowed, expected ")
    assert allowed in line


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("OTEL_PROPAGATORS", "b3,xray", "tracecontext, baggage, b3, b3multi"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_always_on"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "a URL"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "long", "seconds"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "milliseconds"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp, none"),
    ],
)
def test_wrong_value_for_the_sdk(name: str, value: str, allowed: str) -> None:
    done = run_to_end(IMPLEMENTATIONS[0], "otel", **{name: value})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"frontend: {name}='{value}' is not allowed, expected ")
    assert allowed in line


@pytest.mark.parametrize(
    "url", ["mysql://u:hunter2@h/db", "postgresql://u:hunter2@h:port/db", "sqlite://hunter2/x", "hunter2"]
)
def test_wrong_database_url_stays_hidden(url: str) -> None:
    (database,) = [one for one in IMPLEMENTATIONS if one.service == "database"]
    done = run_to_end(database, "plain", DATABASE_URL=url)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("database: DATABASE_URL=(hidden) is not allowed, expected sqlite://")
    assert "hunter2" not in line


@each
@each_form
@pytest.mark.parametrize("variable", ["PORT", "CONTROL_PORT"])
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


def test_address_that_is_not_ours() -> None:
    done = run_to_end(IMPLEMENTATIONS[0], "plain", HOST="192.0.2.1")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "192.0.2.1" in line


@each
def test_empty_value_is_the_default(implementation: Implementation) -> None:
    with Process(implementation, "plain", LOG_LEVEL="", PROPAGATION="", CONTROL_PORT="", DATABASE_URL="") as process:
        assert process.get("/healthz").status_code == 200


@each
def test_plain_does_not_care_about_propagators_of_the_sdk(implementation: Implementation) -> None:
    """FastAPI imports OpenTelemetry's API, which fails at import for a propagator that is not installed."""
    with Process(implementation, "plain", OTEL_PROPAGATORS="xray") as process:
        assert process.get("/healthz").status_code == 200


@each
def test_no_proxy_from_the_environment(implementation: Implementation) -> None:
    """A laptop behind a proxy: neither the request to the upstream nor the export may go there."""
    with Upstream(implementation.upstream_answer) as upstream, Collector() as collector:
        proxy = "http://127.0.0.1:9"
        environment = {"HTTP_PROXY": proxy, "http_proxy": proxy, "ALL_PROXY": proxy}
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        if implementation.upstream:
            environment[implementation.upstream_variable] = upstream.url
        with Process(implementation, "otel", **environment) as process:
            assert process.get().json() == implementation.answer
        assert collector.spans
