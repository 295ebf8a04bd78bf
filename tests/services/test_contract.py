"""The contract of every service, in every language and form, seen from outside."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import httpx
import pytest
from tests.services.conftest import UPSTREAM_TIMEOUT, Setup
from tests.services.harness import CALLERS, Answer, Implementation, Process, wait_for


def test_answers_as_agreed(running: Setup) -> None:
    answer = running.process.get()
    running.implementation.check(answer)
    assert answer.headers["content-type"] == running.implementation.content_type
    if isinstance(running.implementation.answer, dict):
        assert list(answer.json()) == list(running.implementation.answer), "the order that the documents show"


def test_asks_the_agreed_path(calling: Setup) -> None:
    calling.process.get()
    assert calling.upstream.paths == [calling.implementation.upstream_path]


@pytest.mark.parametrize(("path", "body"), [("/healthz", {"status": "ok"}), ("/readyz", {"status": "ready"})])
def test_health_needs_no_upstream(running: Setup, path: str, body: dict[str, str]) -> None:
    running.upstream.answer = Answer(status=500)
    answer = running.process.get(path)
    assert (answer.status_code, answer.json()) == (200, body)
    assert running.upstream.seen == []


@pytest.mark.parametrize("path", ["/nope", "/docs", "/openapi.json", "/healthz/", "//x", "/api/data/x"])
def test_unknown_path_is_json_404(running: Setup, path: str) -> None:
    answer = running.process.get(running.process.url + path)
    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_wrong_method_is_json_405(running: Setup, method: str) -> None:
    own = () if method in running.implementation.methods else (running.implementation.path,)
    for path in (*own, "/healthz", "/readyz"):
        answer = running.process.client.request(method, path)
        assert (answer.status_code, answer.json()) == (405, {"error": "method not allowed"})
        assert "GET" in answer.headers["allow"]


def _close(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def _reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()


def _cut_short(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"mess')
    handler.connection.close()


def _not_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-nothing here speaks HTTP\r\n")


@pytest.mark.parametrize(
    ("upstream", "text"),
    [
        (Answer(status=500), "answered 500"),
        (Answer(status=404), "answered 404"),
        (Answer(status=302), "answered 302"),
        (Answer(body=b"<html>"), "not JSON"),
        (Answer(body=b""), "not JSON"),
        (Answer(body=b"\xff\xfe\xfd"), "not JSON"),
        (Answer(body=b"[" * 100_000), "not JSON"),
        (Answer(body=b"[" * 100_000 + b"]" * 100_000), "not JSON"),
        (Answer(body=b'"%b"' % (b"x" * 1_500_000)), "larger than 1048576 bytes"),
        (Answer(action=_close), "failed"),
        (Answer(action=_reset), "failed"),
        (Answer(action=_cut_short), "failed"),
        (Answer(action=_not_http), "failed"),
    ],
    ids=[
        "500",
        "404",
        "302",
        "html",
        "empty",
        "bytes",
        "deep",
        "deep-json",
        "large",
        "close",
        "reset",
        "cut-short",
        "not-http",
    ],
)
def test_failing_upstream_is_named(failing: Setup, upstream: Answer, text: str) -> None:
    failing.upstream.answer = upstream
    answer = failing.process.get()
    assert answer.status_code == failing.implementation.failed_with(upstream.status)
    assert answer.json().keys() == {"error"}
    assert f"upstream {failing.implementation.upstream} " in answer.json()["error"]
    assert text in answer.json()["error"]
    failing.upstream.answer = failing.upstream.healthy
    assert failing.process.get().status_code == 200


def test_upstream_without_answer_is_504(failing: Setup) -> None:
    assert failing.implementation.failure_status
    failing.upstream.answer = Answer(gate=threading.Event())
    answer = failing.process.get()
    assert answer.status_code == failing.implementation.failure_status[1]
    assert answer.json() == {
        "error": f"upstream {failing.implementation.upstream} timed out after {UPSTREAM_TIMEOUT} s"
    }
    assert failing.upstream.answer.gate is not None
    failing.upstream.answer.gate.set()


def test_dripping_upstream_is_504(failing: Setup) -> None:
    assert failing.implementation.failure_status
    done = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not done.wait(0.1):
            handler.wfile.write(b" ")

    failing.upstream.answer = Answer(action=drip)
    try:
        answer = failing.process.get()
    finally:
        done.set()
    assert answer.status_code == failing.implementation.failure_status[1]
    assert answer.elapsed.total_seconds() < 6


@pytest.mark.parametrize("implementation", [one for one in CALLERS if one.failure_status], ids=str)
def test_unreachable_upstream_is_502(implementation: Implementation) -> None:
    assert implementation.failure_status
    # Bound and not listening: nobody answers there, and nobody else is given the port meanwhile.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        upstream = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with Process(implementation, "plain", **implementation.upstream_at(upstream)) as process:
            answer = process.get()
            assert answer.status_code == implementation.failure_status[0]
            assert answer.json() == {"error": f"upstream {implementation.upstream} failed: cannot connect"}
            assert process.get("/readyz").status_code == 200


def test_connection_that_the_upstream_closed_costs_no_request(calling: Setup) -> None:
    """The upstream closes a kept connection just as the next request arrives on it: asked again, not failed."""
    assert calling.process.get().status_code == 200
    first = threading.Event()

    def close_first(handler: BaseHTTPRequestHandler) -> None:
        if not first.is_set():
            first.set()
            handler.connection.close()
            return
        body = calling.upstream.healthy.body
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    calling.upstream.answer = Answer(action=close_first)
    assert calling.process.get().status_code == 200
    assert first.is_set()


def test_client_that_leaves_costs_nothing(calling: Setup) -> None:
    gate = threading.Event()
    calling.upstream.answer = Answer(gate=gate, body=calling.upstream.healthy.body)
    port = int(calling.process.url.rpartition(":")[2])
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % calling.implementation.path.encode())
    wait_for(lambda: calling.upstream.seen, "a request at the upstream")
    gate.set()
    calling.upstream.answer = calling.upstream.healthy
    assert calling.process.get().status_code == 200
    assert not any("exception" in entry for entry in calling.process.logs())


def test_requests_at_the_same_time(running: Setup) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: running.process.get(), range(64)))
    for answer in answers:
        running.implementation.check(answer)


def test_large_body_is_survived(running: Setup) -> None:
    """A GET needs no body: what is not read is refused or dropped, never kept."""
    try:
        answer = running.process.client.request("GET", running.implementation.path, content=b"x" * 5_000_000)
        assert answer.status_code in (200, 413)
    except httpx.TransportError:
        pass  # the service answered and closed while the body was still on its way
    assert running.process.get().status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0\1\2\3\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"/x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nx-request-id: " + b"y" * 300_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["bytes", "version", "long-path", "length", "long-header", "http2"],
)
def test_garbage_on_the_wire_is_survived(running: Setup, request_bytes: bytes) -> None:
    port = int(running.process.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        try:
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError:
            answer = b""
    assert b"Traceback" not in answer
    assert running.process.get().status_code == 200


def test_log_line_of_a_request(running: Setup) -> None:
    running.process.get(headers={"x-request-id": "id-of-the-request\u00e9".encode("latin-1")})
    line = wait_for(
        lambda: [entry for entry in running.process.logs() if "id-of-the-request" in entry.get("request_id", "")],
        "the line",
    )[0]
    assert line["level"] == "info"
    assert line["service"] == running.implementation.service
    assert (line["method"], line["path"], line["status"]) == ("GET", running.implementation.path, 200)
    assert 0 < line["duration_ms"] < 10_000
    assert line["time"].endswith("+00:00")
    assert ("trace_id" in line) == ("span_id" in line) == (running.form == "otel")


def test_log_line_of_a_failure_names_it(failing: Setup) -> None:
    failing.upstream.answer = Answer(status=503)
    failing.process.get(headers={"x-request-id": "of-the-failure"})
    line = wait_for(
        lambda: [entry for entry in failing.process.logs() if entry.get("request_id") == "of-the-failure"], "the line"
    )[0]
    assert (line["level"], line["status"]) == ("error", failing.implementation.failed_with(503))
    assert line["error"] == f"upstream {failing.implementation.upstream} failed: answered 503"


def test_health_makes_no_log_lines(running: Setup) -> None:
    running.process.get("/healthz")
    running.process.get("/readyz")
    running.process.get(headers={"x-request-id": "after-health"})
    lines = wait_for(
        lambda: (
            (logs := running.process.logs()) and any(one.get("request_id") == "after-health" for one in logs) and logs
        ),
        "the line after",
    )
    assert not [entry for entry in lines if entry.get("path") in ("/healthz", "/readyz")]
