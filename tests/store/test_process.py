"""The process: start, end, options."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.store.conftest import StartStore, http
from tests.store.spans import new_trace_id, request

_ANY = ["--otlp-grpc-port=0", "--otlp-http-port=0", "--zipkin-port=0", "--query-port=0"]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "meshtrail.store", *_ANY, *options], capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("option", ["--otlp-grpc-port", "--otlp-http-port", "--zipkin-port", "--query-port"])
def test_a_busy_port_is_named_with_its_option(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(f"{option}={port}")
    assert result.returncode == 2
    assert f"port {port} ({option})" in result.stderr
    assert "mend:" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "option", ["--query-port=70000", "--max-traces=0", "--max-spans=many", "--max-age=-1", "--max-age=nan", "--unknown"]
)
def test_a_wrong_option_is_an_error(option: str) -> None:
    result = run(option)
    assert result.returncode == 2
    assert option.partition("=")[0] in result.stderr
    assert "Traceback" not in result.stderr


def test_a_foreign_file_is_an_error(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not traces")
    result = run("--store", str(notes))
    assert result.returncode == 2
    assert "is not a trace store" in result.stderr
    assert notes.read_text() == "not traces"


def test_sigterm_ends_it_with_0_and_closes_its_ports(start_store: StartStore) -> None:
    running = start_store()
    with httpx.Client(base_url=running.query) as client:  # an idle keep-alive connection does not hold it back
        assert client.get("/healthz").json() == {"status": "ok", "traces": 0, "spans": 0}
        begin = time.monotonic()
        running.process.terminate()
        assert running.process.wait(10) == 0
        assert time.monotonic() - begin < 5
    with pytest.raises(httpx.ConnectError):
        http.get(f"{running.query}/healthz")


def test_memory_stays_bounded_while_traces_come_and_go(start_store: StartStore) -> None:
    running = start_store("--max-traces", "50", "--max-memory", "1000000")
    with httpx.Client(base_url=running.otlp_http, headers={"content-type": "application/x-protobuf"}) as client:
        for number in range(300):
            body = request(new_trace_id(), 100, service=f"s{number}", name="x" * 500).SerializeToString()
            assert client.post("/v1/traces", content=body).status_code == 200
    health = http.get(f"{running.query}/healthz").json()
    assert 0 < health["traces"] <= 20
    assert running.rss_kib() < 80_000


def test_it_is_small_at_start(start_store: StartStore) -> None:
    assert start_store().rss_kib() < 50_000
