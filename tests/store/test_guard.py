"""Web pages are kept out of every HTTP port."""

from __future__ import annotations

import socket

import pytest
from tests.store.conftest import RunningStore, StartStore, http
from tests.store.spans import new_trace_id, request

from meshtrail.store.guard import Guard

_PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4318", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost.", "[::2]"]
)
def test_foreign_hosts_are_refused_on_every_port(store: RunningStore, host: str) -> None:
    for url in (f"{store.otlp_http}/v1/traces", f"{store.zipkin}/api/v2/spans", f"{store.query}/api/services"):
        response = http.get(url, headers={"host": host})
        assert response.status_code == 403
        assert "Host header" in response.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:99", "[::1]", "[::1]:4318"])
def test_loopback_hosts_are_served(store: RunningStore, host: str) -> None:
    assert http.get(f"{store.query}/healthz", headers={"host": host}).status_code == 200


def test_allowed_hosts_are_served(start_store: StartStore) -> None:
    name = "zipkin.istio-system.svc.cluster.local"
    running = start_store("--allow-host", name, "--allow-host", "otel.example")
    for host in (name, f"{name}:9411", "OTEL.example"):
        response = http.post(f"{running.zipkin}/api/v2/spans", content=b"[]", headers={"host": host})
        assert response.status_code == 202
    assert http.get(f"{running.query}/healthz", headers={"host": "other.example"}).status_code == 403


def test_two_host_headers_are_refused(store: RunningStore) -> None:
    host, port = store.query.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        )
        answer = connection.recv(4096)
    assert answer.split(b" ")[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_writes_from_other_origins_are_refused(store: RunningStore, headers: dict[str, str]) -> None:
    trace_id = new_trace_id()
    body = request(trace_id).SerializeToString()
    assert http.post(f"{store.otlp_http}/v1/traces", content=body, headers=_PROTOBUF | headers).status_code == 403
    assert http.post(f"{store.zipkin}/api/v2/spans", content=b"[]", headers=headers).status_code == 403
    assert http.delete(f"{store.query}/api/traces", headers=headers).status_code == 403
    assert http.get(f"{store.query}/api/traces/{trace_id.hex()}").status_code == 404


def test_the_own_origin_may_write(start_store: StartStore) -> None:
    running = start_store()
    headers = {"origin": running.query, "sec-fetch-site": "same-origin"}
    assert http.delete(f"{running.query}/api/traces", headers=headers).status_code == 200


def test_no_page_may_read(store: RunningStore) -> None:
    for method in ("GET", "OPTIONS"):
        response = http.request(method, f"{store.query}/api/services", headers={"origin": "https://evil.example"})
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_an_ipv6_address_to_listen_on_is_allowed_as_browsers_write_it() -> None:
    guard = Guard(lambda *_: None, ["fd00::1"])  # type: ignore[arg-type]
    assert guard.refusal("GET", [(b"host", b"[fd00::1]:4318")]) == ""
    assert guard.refusal("GET", [(b"host", b"[fd00::2]:4318")])
