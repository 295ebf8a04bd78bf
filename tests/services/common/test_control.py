"""The control port, over a real socket."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from meshtrail_common.control import ControlServer
from meshtrail_common.propagation import Switch

JSON = {"Content-Type": "application/json"}


@dataclass
class Control:
    switch: Switch
    port: int

    def ask(
        self, method: str, body: bytes | None = None, path: str = "/propagation", **headers: str
    ) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            assert not any(name.lower().startswith("access-control") for name in answer.headers)
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()

    def put(self, body: bytes, **headers: str) -> tuple[int, dict[str, str]]:
        return self.ask("PUT", body, **({"Content_Type": "application/json"} | headers))


@pytest.fixture
def control() -> Iterator[Control]:
    switch = Switch()
    server = ControlServer(socket.create_server(("127.0.0.1", 0)), switch, ["demo.internal"])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Control(switch, server.server_address[1])
    server.shutdown()
    server.server_close()
    thread.join()


def test_reads_and_sets_the_mode(control: Control) -> None:
    assert control.ask("GET") == (200, {"mode": "all"})
    for _ in range(2):
        assert control.put(b'{"mode": "none"}') == (200, {"mode": "none"})
    assert control.switch.mode == "none"
    assert control.ask("GET") == (200, {"mode": "none"})
    assert control.put(b'{"mode": "b3"}', Content_Type="application/json; charset=utf-8") == (200, {"mode": "b3"})


@pytest.mark.parametrize(
    "body",
    [b"", b"none", b'{"mode"', b"\xff", b"[]", b'"none"', b"{}", b'{"mode": "B3"}', b'{"mode": null}',
     b'{"mode": ["b3"]}', b'{"mode": "b3", "x": 1}', b"[" * 1000],
)  # fmt: skip
def test_wrong_body_is_400_and_changes_nothing(control: Control, body: bytes) -> None:
    status, answer = control.put(body)
    assert status == 400
    assert "all, b3, w3c, none" in answer["error"]
    assert control.switch.mode == "all"


def test_wrong_content_type_is_415(control: Control) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        status, answer = control.put(b'{"mode": "none"}', Content_Type=kind)
        assert status == 415
        assert "all, b3, w3c, none" in answer["error"]
    assert control.switch.mode == "all"


def test_large_body_is_413(control: Control) -> None:
    assert control.put(b'{"mode": "none"}' + b" " * 2000)[0] == 413
    assert control.put(b"", Content_Length="9" * 400)[0] == 413
    assert control.put(b"", Content_Length="-1")[0] == 400
    assert control.switch.mode == "all"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8090", "127.0.0.1:1", "[::1]:8090", "[::1]", "demo.internal:8090"]
)
def test_local_and_allowed_hosts(control: Control, host: str) -> None:
    assert control.ask("GET", Host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.2", "[::2]", "", "evil.example:8090"]
)
def test_foreign_host_is_403(control: Control, host: str) -> None:
    assert control.ask("GET", Host=host)[0] == 403
    assert control.put(b'{"mode": "none"}', Host=host)[0] == 403
    assert control.switch.mode == "all"


def test_other_origin_is_403_and_its_own_is_not(control: Control) -> None:
    for origin in ("http://evil.example", "null", "http://localhost:1", "https://127.0.0.1"):
        assert control.put(b'{"mode": "none"}', Origin=origin)[0] == 403
        assert control.ask("GET", Origin=origin)[0] == 403
    assert control.switch.mode == "all"
    assert control.put(b'{"mode": "w3c"}', Host="localhost:9", Origin="http://localhost:9")[0] == 200


def test_other_paths_and_methods(control: Control) -> None:
    assert control.ask("GET", path="/")[0] == 404
    assert control.ask("GET", path="/propagation/x")[0] == 404
    for method in ("POST", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        assert control.ask(method)[0] == 405
    assert control.ask("TRACE")[0] == 501


def test_garbage_and_silence_do_not_stop_it(control: Control) -> None:
    silent = socket.create_connection(("127.0.0.1", control.port))
    with socket.create_connection(("127.0.0.1", control.port)) as connection:
        connection.sendall(b"\0\1\2\r\n\r\n")
    with socket.create_connection(("127.0.0.1", control.port)) as connection:
        connection.sendall(b"PUT /propagation HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n")
    assert control.ask("GET") == (200, {"mode": "all"})
    silent.close()


def test_many_at_once(control: Control) -> None:
    modes = ["all", "b3", "w3c", "none"] * 10
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda mode: control.put(json.dumps({"mode": mode}).encode()), modes))
    assert {status for status, _ in answers} == {200}
    assert control.switch.mode in modes
