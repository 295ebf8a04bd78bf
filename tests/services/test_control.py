"""The control port of every way of serving, over real sockets. common/test_control.py looks closer at Python's."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from tests.services.conftest import Setup, each
from tests.services.harness import KINDS, Implementation

ALLOWED = "all, b3, w3c, none"
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Control:
    port: int

    def ask(self, method: str, body: bytes | None, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            assert answer.headers["Content-Type"] == "application/json"
            assert not any(name.lower().startswith("access-control") for name in answer.headers)
            if answer.status == 405:
                assert answer.headers["Allow"] == "GET, PUT"
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def mode(self) -> str:
        status, content = self.ask("GET", None, "/propagation", {})
        assert (status, list(content)) == (200, ["mode"])
        return content["mode"]


@pytest.fixture(params=each(KINDS, ("plain",)))
def control(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Iterator[Control]:
    setup = _services(*request.param)
    yield Control(urlsplit(setup.process.control).port or 0)
    setup.process.switch("all")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "text"),
    [
        ("PUT", "/propagation", b"", JSON, 400, ALLOWED),
        ("PUT", "/propagation", b"none", JSON, 400, ALLOWED),
        ("PUT", "/propagation", b"\xff", JSON, 400, ALLOWED),
        ("PUT", "/propagation", b'["none"]', JSON, 400, ALLOWED),
        ("PUT", "/propagation", b'{"mode": "B3"}', JSON, 400, ALLOWED),
        ("PUT", "/propagation", b'{"mode": ["b3"]}', JSON, 400, ALLOWED),
        ("PUT", "/propagation", b'{"mode": "b3", "x": 1}', JSON, 400, ALLOWED),
        ("PUT", "/propagation", b"[" * 1000, JSON, 400, ALLOWED),
        ("PUT", "/propagation", b'{"mode": "b3"}', {"Content-Type": "text/plain"}, 415, ALLOWED),
        ("PUT", "/propagation", b'{"mode": "b3"}', {"Content-Type": "application/jsonx"}, 415, ALLOWED),
        ("PUT", "/propagation", b'{"mode": "b3"}', {}, 415, ALLOWED),
        ("PUT", "/propagation", b'{"mode": "b3"}' + b" " * 2000, JSON, 413, ALLOWED),
        ("PUT", "/propagation", b'{"mode": "b3"}', JSON | {"Host": "evil.example"}, 403, "CONTROL_ALLOWED_HOSTS"),
        ("GET", "/propagation", None, {"Host": "localhost.evil.example:80"}, 403, "CONTROL_ALLOWED_HOSTS"),
        ("GET", "/propagation", None, {"Host": "[::2]:80"}, 403, "CONTROL_ALLOWED_HOSTS"),
        ("PUT", "/propagation", b'{"mode": "b3"}', JSON | {"Origin": "http://evil.example"}, 403, "another origin"),
        ("GET", "/propagation", None, {"Origin": "null"}, 403, "another origin"),
        ("GET", "/", None, {}, 404, "/propagation"),
        ("GET", "/propagation/x", None, {}, 404, "/propagation"),
        ("POST", "/propagation", b'{"mode": "b3"}', JSON, 405, "use GET or PUT"),
        ("DELETE", "/propagation", None, {}, 405, "use GET or PUT"),
    ],
)
def test_refusals_change_nothing(
    control: Control, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, text: str
) -> None:
    answer, content = control.ask(method, body, path, headers)
    assert (answer, list(content)) == (status, ["error"])
    assert text in content["error"]
    assert control.mode() == "all"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "LOCALHOST:8090"},
        {"Host": "[::1]"},
        {"Host": "localhost:9", "Origin": "http://localhost:9"},
        {"Content-Type": "application/json; charset=utf-8"},
    ],
)
def test_local_callers_are_let_in(control: Control, headers: dict[str, str]) -> None:
    assert control.ask("PUT", b'{"mode": "w3c"}', "/propagation?x=1", JSON | headers) == (200, {"mode": "w3c"})
    assert control.mode() == "w3c"


def test_garbage_and_silence_do_not_stop_it(control: Control) -> None:
    address = ("127.0.0.1", control.port)
    with socket.create_connection(address), socket.create_connection(address) as garbage:
        garbage.sendall(b"\0\1\2\r\n\r\n")
        with socket.create_connection(address) as broken:
            broken.sendall(b"PUT /propagation HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n")
        assert control.mode() == "all"
