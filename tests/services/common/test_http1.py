"""An answer as it stands on the wire: what is taken, what is refused, and whether the connection may be kept."""

from __future__ import annotations

import io
import socket
import threading
from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.harness import Answer, Upstream

from meshtrail_common import calls
from meshtrail_common.errors import ServiceError
from meshtrail_common.http1 import NothingError, NotHTTPError, Response, read_response

OK = b"HTTP/1.1 200 OK\r\n"


def read(wire: bytes, limit: int = 100) -> Response:
    return read_response(io.BytesIO(wire), limit)


@pytest.mark.parametrize(
    ("wire", "response"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", Response(200, b"{}", keep=True)),
        (OK + b"content-length:2  \r\nX:\r\n\r\n{}rest", Response(200, b"{}", keep=True)),
        (b"HTTP/1.1 200\nContent-Length: 2\n\n{}", Response(200, b"{}", keep=True)),
        (OK + b"Content-Length: 2\r\nConnection: x, Close\r\n\r\n{}", Response(200, b"{}", keep=False)),
        (OK + b"\r\nto the end", Response(200, b"to the end", keep=False)),
        (b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n", Response(404, b"", keep=False)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Response(204, b"", keep=True)),
        (b"HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n", Response(304, b"", keep=True)),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", Response(200, b"", keep=True)),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n01;x=y\r\n}\r\n0\r\nTrailer: x\r\n\r\n",
            Response(200, b"{}", keep=True),
        ),
        # Both lengths: the coding counts, and the connection is not trusted again (RFC 9112, 6.3).
        (
            OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            Response(200, b"x", keep=False),
        ),
    ],
)
def test_taken(wire: bytes, response: Response) -> None:
    assert read(wire) == response


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 999 Far Out\r\n\r\n",
        b"HTTP/1.1 200 OK",
        OK,
        OK + b"Content-Length: 2\r\n\r\n{",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
        OK + b"Content-Length: 101\r\n\r\n" + b"x" * 101,
        OK + b"\r\n" + b"x" * 101,
        OK + b" folded: x\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"a: " + b"x" * 70_000 + b"\r\n\r\n",
        OK + b"a: b\r\n" * 300 + b"\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        OK
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"33\r\n"
        + b"x" * 51
        + b"\r\n32\r\n"
        + b"x" * 50
        + b"\r\n0\r\n\r\n",
    ],
)
def test_refused(wire: bytes) -> None:
    with pytest.raises(NotHTTPError):
        read(wire)


def test_nothing_is_told_apart() -> None:
    with pytest.raises(NothingError):
        read(b"")


@given(st.binary(max_size=200), st.sampled_from([b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"]))
def test_whatever_comes(wire: bytes, head: bytes) -> None:
    try:
        response = read(head + wire)
    except NotHTTPError:
        return
    assert 200 <= response.status < 600
    assert len(response.body) <= 100


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=5))
def test_chunks_of_any_size(chunks: list[bytes]) -> None:
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    body = b"".join(chunks)
    assert read(OK + b"Transfer-Encoding: chunked\r\n\r\n" + wire + b"0\r\n\r\n", 200).body == body


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """The connections that are made."""
    made: list[socket.socket] = []
    connect = socket.create_connection

    def note(*arguments: object, **options: object) -> socket.socket:
        made.append(connect(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(socket, "create_connection", note)
    return made


def test_connection_is_kept_for_a_moment(counted: list[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    with Upstream({}) as server:
        upstream = calls.Upstream("details", server.url, 5)
        for _ in range(3):
            assert upstream.get("/x", []).json() == {}
        assert len(counted) == 1
        monkeypatch.setattr(calls, "IDLE_SECONDS", 0.0)
        assert upstream.get("/x", []).status == 200
        assert len(counted) == 2
        assert counted[0].fileno() == -1, "the old one is closed"
        counted[1].close()


@pytest.mark.parametrize(
    "drip", [b"HTTP/1.1 200 OK\r\nX: ", OK + b"Content-Length: 1000\r\n\r\n"], ids=["head", "body"]
)
def test_one_time_limit_for_all_of_an_answer(drip: bytes) -> None:
    done = threading.Event()

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(drip)
        while not done.wait(0.05):
            handler.wfile.write(b"x")

    with Upstream({}) as server:
        server.answer = Answer(action=slowly)
        try:
            with pytest.raises(ServiceError, match=r"upstream details timed out after 0\.3 s") as caught:
                calls.Upstream("details", server.url, 0.3).get("/x", [])
        finally:
            done.set()
    assert caught.value.status == 504


def test_closed_without_an_answer_is_asked_again_only_on_a_kept_connection() -> None:
    def close(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    with Upstream({}) as server:
        upstream = calls.Upstream("details", server.url, 5)
        upstream.get("/x", [])
        server.answer = Answer(action=close)
        for requests in (2, 1):
            server.seen.clear()
            with pytest.raises(ServiceError, match="upstream details failed: the connection was closed"):
                upstream.get("/x", [])
            assert len(server.seen) == requests


@pytest.mark.parametrize("path", ["x", "/a b", "/a\r\nX: 1", "/\u00e9"])
def test_no_path_can_break_out_of_the_request(path: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a request"):
        calls.Upstream("details", "http://127.0.0.1:1", 1).get(path, [])
