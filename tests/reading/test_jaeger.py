from __future__ import annotations

import socket
import threading
from typing import Any

import httpx
import pytest
from tests.model.recorded import EPOCH_US, recorded
from tests.reading.jaeger_server import jaeger_server

from meshtrail.errors import MeshtrailError
from meshtrail.reading.jaeger import JaegerClient, JaegerError


def test_services_and_whole_traces() -> None:
    (trace,) = recorded("otlp-all")
    with jaeger_server(trace) as server, JaegerClient(server.url) as client:
        assert client.services() == (
            "backend.default",
            "database.default",
            "frontend.default",
            "istio-ingressgateway.istio-system",
        )
        got = client.trace(trace.trace_id)
        assert got is not None
        assert [(span.span_id, span.parent_id, span.service, span.name, span.kind) for span in got.spans] == [
            (span.span_id, span.parent_id, span.service, span.name, span.kind) for span in trace.spans
        ]
        assert got.spans[0].tags == trace.spans[0].tags
        assert got.complete


def test_no_services_is_null_in_jaeger() -> None:
    with jaeger_server() as server, JaegerClient(server.url) as client:
        assert client.services() == ()
        assert client.find_any(end_us=EPOCH_US) == ()


def test_a_base_path_is_kept() -> None:
    (trace,) = recorded("otlp-all")
    with jaeger_server(trace, base_path="/jaeger") as server, JaegerClient(server.url + "/") as client:
        assert client.trace(trace.trace_id) is not None
        assert all(path.startswith("/jaeger/api/") for path in server.asked)


def test_find_sends_what_jaeger_understands() -> None:
    first, second = recorded("otlp-backend-none")
    start, end = EPOCH_US - 1, EPOCH_US + 10**6
    with jaeger_server(first, second) as server, JaegerClient(server.url) as client:
        assert [trace.trace_id for trace in client.find("backend.default", start_us=start, end_us=end)] == [
            first.trace_id,
            second.trace_id,
        ]
        assert len(client.find("backend.default", start_us=start, end_us=end, limit=1)) == 1
        request_id = {"guid:x-request-id": second.roots[0].request_id or ""}
        assert [
            trace.trace_id for trace in client.find("backend.default", tags=request_id, start_us=start, end_us=end)
        ] == [second.trace_id]
        assert client.find("backend.default", operation="no such", start_us=start, end_us=end) == ()
        assert client.find("frontend.default", start_us=EPOCH_US + 10**6, end_us=EPOCH_US + 10**7) == ()
        assert len(client.find_any(start_us=start, end_us=end)) == 2


def test_an_absent_trace_is_none() -> None:
    with jaeger_server() as server, JaegerClient(server.url) as client:
        assert client.trace("1") is None
        assert server.asked == ["/api/traces/" + "1".rjust(32, "0")]


@pytest.mark.parametrize("wrong", ["", "xyz", "../services", "a" * 33, "a b"])
def test_what_is_no_trace_id_is_said_without_asking(wrong: str) -> None:
    with jaeger_server() as server, JaegerClient(server.url) as client:
        with pytest.raises(MeshtrailError, match="not a trace id"):
            client.trace(wrong)
        assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((401, "text/html", b"<h1>login</h1>"), "answered 401"),
        ((404, "text/plain", b"404 page not found"), "base path"),
        ((400, "application/json", b'{"errors": [{"code": 400, "msg": "bad tag"}]}'), "bad tag"),
        ((503, "text/plain", b"no healthy upstream"), "Jaeger's own log"),
        ((200, "text/html", b"<!doctype html><title>Grafana</title>"), "a web page"),
        ((200, "application/json", b'{"data": [{"traceID": "ab", "sp'), "no complete JSON"),
        ((200, "application/json", b"[1, 2]"), "no field `data`"),
        ((200, "application/json", b'{"status": "success"}'), "no field `data`"),
        ((200, "application/json", b'{"data": {"resultType": "matrix"}}'), "not a list"),
    ],
)
def test_an_answer_that_is_not_jaegers_is_explained(answer: tuple[int, str, bytes], text: str) -> None:
    with jaeger_server(answer=answer) as server, JaegerClient(server.url) as client:
        for ask in (client.services, lambda: client.find("backend"), lambda: client.trace("ab")):
            with pytest.raises(JaegerError) as caught:
                ask()
            assert text in str(caught.value)
            assert server.url in caught.value.message
            assert caught.value.mend


def test_a_base_path_that_was_left_out_is_named() -> None:
    page = b'<!doctype html><html><head><base href="/jaeger/"/><title>Jaeger UI</title>'
    with jaeger_server(answer=(200, "text/html", page)) as server, JaegerClient(server.url) as client:
        with pytest.raises(JaegerError, match="a web page") as caught:
            client.services()
        assert caught.value.mend.endswith(f"{server.url}/jaeger")


def test_a_redirect_names_the_final_address() -> None:
    answer = (302, "text/plain", b"")
    with (
        jaeger_server(answer=answer, headers={"location": "https://sso.example/login"}) as server,
        JaegerClient(server.url) as client,
        pytest.raises(JaegerError, match=r"https://sso\.example/login"),
    ):
        client.services()


def test_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with JaegerClient(url) as client, pytest.raises(JaegerError, match="nothing answers") as caught:
            client.services()
    assert "meshtrail up" in caught.value.mend


def test_a_name_that_does_not_resolve() -> None:
    with JaegerClient("http://jaeger.invalid:16686") as client, pytest.raises(JaegerError, match="nothing answers"):
        client.services()


def test_no_answer_in_time() -> None:
    with (
        jaeger_server(hang=True) as server,
        JaegerClient(server.url, timeout_s=0.2) as client,
        pytest.raises(JaegerError, match=r"did not answer within 0\.2 s"),
    ):
        client.services()


def test_a_connection_that_breaks_is_no_failure_yet() -> None:
    """A kept one may be closed just as the request goes out; a port-forward does so when its pod goes."""
    body = b'{"data": ["frontend"]}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            for said in (b"", answer):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(said)

        thread = threading.Thread(target=speak)
        thread.start()
        with JaegerClient(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            assert list(client.services()) == ["frontend"]
        thread.join()


def test_a_port_forward_is_given_time_to_start_again() -> None:
    body = b'{"data": ["frontend"]}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    refused = threading.Event()
    first = socket.create_server(("127.0.0.1", 0))
    port = first.getsockname()[1]

    def speak() -> None:
        connection, _ = first.accept()
        first.close()
        connection.close()
        assert refused.wait(10)
        with socket.create_server(("127.0.0.1", port)) as second:
            connection, _ = second.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

    thread = threading.Thread(target=speak)
    thread.start()
    with JaegerClient(f"http://127.0.0.1:{port}") as client:
        send = client._asking._http.get

        def get(*args: Any, **kwargs: Any) -> httpx.Response:
            try:
                return send(*args, **kwargs)
            except httpx.ConnectError:
                refused.set()
                raise

        client._asking._http.get = get  # type: ignore[method-assign]
        assert list(client.services()) == ["frontend"]
    thread.join()
    assert refused.is_set()


def test_a_port_that_speaks_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshtrail.reading.asking.PATIENCE_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            for _ in range(2):  # it is asked once more
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00")

        thread = threading.Thread(target=speak)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with JaegerClient(url) as client, pytest.raises(JaegerError, match="broke off") as caught:
            client.services()
        thread.join()
    assert "16686" in caught.value.mend


@pytest.mark.parametrize("url", ["127.0.0.1:16686", "ftp://jaeger", "http://", "http://[::1", "jaeger"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(MeshtrailError, match="not an"):
        JaegerClient(url)


def test_a_proxy_of_the_environment_is_not_used_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    with jaeger_server() as server, JaegerClient(server.url) as client:
        assert client.services() == ()


def test_too_many_services_to_ask_each() -> None:
    names = b", ".join(b'"service-%d"' % number for number in range(51))
    answer = (200, "application/json", b'{"data": [%s]}' % names)
    with jaeger_server(answer=answer) as server, JaegerClient(server.url) as client:
        with pytest.raises(MeshtrailError, match="51 services"):
            client.find_any()
        assert server.asked == ["/api/services"]


def test_waiting_for_a_trace_that_comes() -> None:
    (trace,) = recorded("otlp-all")
    with jaeger_server() as server, JaegerClient(server.url) as client:
        timer = threading.Timer(0.2, lambda: server.traces.append(trace))
        timer.start()
        got = client.wait_for_trace(
            lambda found: found.complete, deadline_s=10, trace_id=trace.trace_id, interval_s=0.02
        )
        timer.join()
    assert got.trace_id == trace.trace_id
    assert len(server.asked) > 1


def test_waiting_for_a_trace_that_does_not_come() -> None:
    first, second = recorded("otlp-backend-none")
    with (
        jaeger_server(first, second) as server,
        JaegerClient(server.url) as client,
        pytest.raises(JaegerError, match=r"within 0\.2 s.*; 2 others were seen"),
    ):
        client.wait_for_trace(
            lambda found: len(found.spans) == 7, deadline_s=0.2, interval_s=0.05, start_us=EPOCH_US - 1
        )


def test_waiting_for_a_jaeger_that_is_not_there_says_why() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with JaegerClient(url) as client, pytest.raises(JaegerError) as caught:
            client.wait_for_trace(lambda found: True, deadline_s=0.1, interval_s=0.02)
    assert "nothing answers" in str(caught.value.__cause__)
