"""HTTP/2 as seen by a client that writes its own frames; real clients are in test_otlp.py and test_envoy.py."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Self

import pytest
from h2.errors import ErrorCodes
from hpack import Decoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.conftest import RunningStore, StartStore, http, running_store
from tests.store.grpc import frames
from tests.store.spans import new_trace_id, request

from meshtrail.store.grpc.connection import MAX_FRAME, MAX_STREAMS
from meshtrail.store.otlp_grpc import EXPORT

_LIMIT = 500_000
_HEADERS = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", EXPORT.encode()),
    (b":authority", b"localhost"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]


@pytest.fixture(scope="module")
def small() -> Iterator[RunningStore]:
    with running_store("--max-body", str(_LIMIT)) as running:
        yield running


class Client:
    """A connection; `read` gives whole frames."""

    def __init__(self, store: RunningStore, settings: dict[int, int] | None = None) -> None:
        host, port = store.otlp_grpc.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.buffer = b""
        self.hpack = Decoder()
        self.fields: dict[bytes, bytes] = {}  # of the last HEADERS
        self.send(frames.PREFACE + frames.settings(settings or {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, int, int, bytes] | None:
        """Kind, flags, stream and payload of the next frame; None at the end of the connection."""
        while True:
            if len(self.buffer) >= frames.HEAD_SIZE:
                size, kind, flags, stream = frames.read_head(self.buffer)
                end = frames.HEAD_SIZE + size
                if len(self.buffer) >= end:
                    payload, self.buffer = self.buffer[frames.HEAD_SIZE : end], self.buffer[end:]
                    if kind == frames.HEADERS:
                        self.fields = dict(self.hpack.decode(payload, raw=True))
                    return kind, flags, stream, payload
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self.buffer += more

    def until(self, kind: int, stream: int | None = None) -> tuple[int, int, int, bytes]:
        while (found := self.read()) is not None:
            if found[0] == kind and stream in (None, found[2]):
                return found
        pytest.fail(f"the connection ended before a frame of kind {kind}")

    def status(self, stream: int) -> int:
        """The grpc-status of a request."""
        while True:
            if self.until(frames.HEADERS, stream)[1] & frames.END_STREAM:
                return int(self.fields[b"grpc-status"])

    def goaway(self) -> int:
        """The code with which the server ends the connection."""
        code = int.from_bytes(self.until(frames.GOAWAY)[3][4:8])
        while self.read() is not None:
            pass
        return code


def headers(stream: int, fields: list[tuple[bytes, bytes]] | None = None, flags: int = frames.END_HEADERS) -> bytes:
    return frames.frame(frames.HEADERS, flags, stream, frames.block(fields or _HEADERS))


def message(data: bytes, compressed: int = 0) -> bytes:
    return bytes((compressed,)) + len(data).to_bytes(4) + data


def call(stream: int, data: bytes) -> bytes:
    return headers(stream) + frames.frame(frames.DATA, frames.END_STREAM, stream, message(data))


def stored(store: RunningStore, trace_id: bytes) -> bool:
    return http.get(f"{store.query}/api/traces/{trace_id.hex()}").is_success


def test_a_request_in_many_small_pieces(store: RunningStore) -> None:
    trace_id = new_trace_id()
    data = message(request(trace_id).SerializeToString())
    block = frames.block(_HEADERS)
    pieces = frames.frame(frames.HEADERS, 0, 1, block[:10])
    pieces += frames.frame(frames.CONTINUATION, 0, 1, block[10:20])
    pieces += frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[20:])
    for at in range(0, len(data), 20):
        pieces += frames.frame(frames.DATA, frames.PADDED, 1, b"\x03" + data[at : at + 20] + bytes(3))
    pieces += frames.frame(frames.DATA, frames.END_STREAM, 1)
    with Client(store) as client:
        for byte in pieces:
            client.send(bytes((byte,)))
        assert client.status(1) == 0
    assert stored(store, trace_id)


def test_requests_interleave(store: RunningStore) -> None:
    ids = [new_trace_id() for _ in range(20)]
    bodies = [message(request(trace_id).SerializeToString()) for trace_id in ids]
    with Client(store) as client:
        for at in range(len(ids)):
            client.send(headers(2 * at + 1) + frames.frame(frames.DATA, 0, 2 * at + 1, bodies[at][:10]))
        for at in reversed(range(len(ids))):
            client.send(frames.frame(frames.DATA, frames.END_STREAM, 2 * at + 1, bodies[at][10:]))
        assert [client.status(2 * at + 1) for at in reversed(range(len(ids)))] == [0] * len(ids)
    assert all(stored(store, trace_id) for trace_id in ids)


def test_priority_padding_and_unknown_frames_are_passed_over(store: RunningStore) -> None:
    with Client(store) as client:
        block = b"\x02" + bytes(5) + frames.block(_HEADERS) + bytes(2)
        flags = frames.END_HEADERS | frames.PADDED | frames.HAS_PRIORITY
        client.send(frames.frame(0x42, 0xFF, 7, b"unknown") + frames.frame(frames.PRIORITY, 0, 1, bytes(5)))
        client.send(frames.frame(frames.HEADERS, flags, 1, block))
        client.send(frames.frame(frames.DATA, frames.END_STREAM, 1, message(b"")))
        assert client.status(1) == 0


def test_answers_wait_for_the_clients_window(store: RunningStore) -> None:
    with Client(store, {frames.INITIAL_WINDOW_SIZE: 0}) as client:
        client.send(call(1, b"") + call(3, b"") + frames.frame(frames.PING, 0, 0, b"12345678"))
        seen = []
        while (found := client.read()) is not None and found[0] != frames.PING:
            seen.append(found[0])
        assert frames.DATA not in seen
        client.send(frames.window_update(3, 5))
        assert client.until(frames.DATA)[2] == 3
        assert client.status(3) == 0
        client.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 5}))
        assert client.status(1) == 0


def test_more_answers_than_the_connections_first_window_holds(store: RunningStore) -> None:
    answers = frames.DEFAULT_WINDOW // 5
    with Client(store) as client:
        for first in range(0, answers + 10, 50):
            batch = range(first, min(first + 50, answers + 10))
            client.send(b"".join(call(2 * at + 1, b"") for at in batch))
            if batch[-1] >= answers:
                client.send(frames.window_update(0, 1000))
            for at in batch:
                assert client.status(2 * at + 1) == 0


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({b":path": b"/other.Service/Method"}, 12),
        ({b"grpc-encoding": b"snappy"}, 12),
        ({b"grpc-encoding": b"identity"}, 0),
        ({b":method": b"GET"}, 12),
        ({b"content-type": b"text/html"}, 12),
    ],
)
def test_calls_that_are_not_ours(store: RunningStore, change: dict[bytes, bytes], status: int) -> None:
    fields = list((dict(_HEADERS) | change).items())
    with Client(store) as client:
        client.send(headers(1, fields) + frames.frame(frames.DATA, frames.END_STREAM, 1, message(b"")))
        assert client.status(1) == status
        client.send(call(3, b""))
        assert client.status(3) == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 13),
        (b"\0\0\0", 13),
        (message(b"")[:-1] + b"\x01", 13),
        (message(b"") * 2, 13),
        (message(b"", compressed=1), 13),
        (message(b"\x0a\xff"), 3),
    ],
)
def test_bodies_that_are_no_message(store: RunningStore, body: bytes, status: int) -> None:
    with Client(store) as client:
        client.send(headers(1) + frames.frame(frames.DATA, frames.END_STREAM, 1, body))
        assert client.status(1) == status


def test_a_large_message_is_refused_at_its_first_bytes(small: RunningStore) -> None:
    with Client(small) as client:
        client.send(headers(1) + frames.frame(frames.DATA, 0, 1, b"\0" + (_LIMIT + 1).to_bytes(4)))
        assert client.status(1) == 8
        # What was on its way already is passed over.
        client.send(frames.frame(frames.DATA, frames.END_STREAM, 1, bytes(1000)) + call(3, b""))
        assert client.status(3) == 0


def test_unfinished_requests_together_are_bounded(small: RunningStore) -> None:
    part = b"\0" + _LIMIT.to_bytes(4) + bytes(_LIMIT // 2)
    with Client(small) as client:
        for at in range(40):
            client.send(headers(2 * at + 1))
            for begin in range(0, len(part), MAX_FRAME):
                client.send(frames.frame(frames.DATA, 0, 2 * at + 1, part[begin : begin + MAX_FRAME]))
        client.send(call(99, b""))
        assert client.status(99) in (0, 14)
        assert small.rss_kib() < 90_000
    with Client(small) as client:
        client.send(call(1, b""))
        assert client.status(1) == 0


def test_as_many_streams_as_envoy_opens(store: RunningStore) -> None:
    with Client(store) as client:
        client.send(b"".join(headers(2 * at + 1) for at in range(MAX_STREAMS)))
        for at in range(MAX_STREAMS):
            client.send(frames.frame(frames.DATA, frames.END_STREAM, 2 * at + 1, message(b"")))
            assert client.status(2 * at + 1) == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frames.frame(frames.DATA, 0, 0, b"x"), ErrorCodes.PROTOCOL_ERROR),
        (frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\x80"), ErrorCodes.PROTOCOL_ERROR),
        (headers(1, [*_HEADERS, *[(b"x", b"y" * 3000)] * 6]), ErrorCodes.ENHANCE_YOUR_CALM),
    ],
    ids=["data-0", "hpack", "large-headers"],
)
def test_a_broken_protocol_ends_the_connection_and_no_other(store: RunningStore, data: bytes, code: int) -> None:
    with Client(store) as other, Client(store) as client:
        client.send(data)
        assert client.goaway() == code
        other.send(call(1, b""))
        assert other.status(1) == 0


@pytest.mark.parametrize(
    "data",
    [
        lambda: b"".join(headers(2 * at + 1) for at in range(MAX_STREAMS + 1)),
        lambda: frames.frame(frames.DATA, 0, 1, bytes(2**20)),
        lambda: headers(1, flags=0) + frames.frame(frames.CONTINUATION, 0, 1, bytes(16_000)) * 60,
        lambda: frames.frame(frames.PING, 0, 0, bytes(8)) * 20_000,
        lambda: frames.settings({}) * 20_000,
        lambda: headers(1) + frames.frame(frames.DATA, 0, 1) * 20_000,
        lambda: b"".join(headers(2 * at + 1) + frames.rst_stream(2 * at + 1, 8) for at in range(11_000)),
    ],
    ids=["streams", "one-frame", "headers", "ping", "settings", "empty-data", "rapid-reset"],
)
def test_a_flood_ends_the_connection_and_no_other(store: RunningStore, data: Callable[[], bytes]) -> None:
    with Client(store) as other, Client(store) as client:
        with suppress(OSError):  # it was ended while we still wrote
            client.send(data())
        client.socket.settimeout(5)
        while client.read() is not None:
            pass
        other.send(call(1, b""))
        assert other.status(1) == 0


def test_http1_is_told_what_this_port_is(store: RunningStore) -> None:
    host, port = store.otlp_grpc.split(":")
    with closing(socket.create_connection((host, int(port)), timeout=10)) as connection:
        connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while part := connection.recv(4096):
            answer += part
    assert b"HTTP/1.1 400 " in answer
    assert answer.endswith(b"This port speaks gRPC.\n")


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_random_frames_harm_nobody(store: RunningStore, junk: bytes, with_head: bool) -> None:
    with Client(store) as client:
        client.send(frames.frame(junk[0] % 10, junk[-1], 1, junk) if with_head and junk else junk)
    with Client(store) as client:
        client.send(call(1, b""))
        assert client.status(1) == 0


def test_at_the_end_what_was_begun_is_answered(start_store: StartStore) -> None:
    running = start_store()
    data = message(request().SerializeToString())
    with Client(running) as busy, Client(running) as idle:
        busy.send(headers(1) + frames.frame(frames.DATA, 0, 1, data[:10]) + frames.frame(frames.PING, 0, 0, bytes(8)))
        busy.until(frames.PING)
        running.process.terminate()
        assert idle.goaway() == ErrorCodes.NO_ERROR
        busy.send(headers(3) + frames.frame(frames.DATA, frames.END_STREAM, 1, data[10:]))
        assert busy.until(frames.RST_STREAM)[2:] == (3, ErrorCodes.REFUSED_STREAM.to_bytes(4))
        assert busy.status(1) == 0
        assert busy.goaway() == ErrorCodes.NO_ERROR
    assert running.process.wait(10) == 0


def test_at_the_end_nobody_is_waited_for_long(start_store: StartStore) -> None:
    running = start_store()
    with Client(running) as slow:
        slow.send(headers(1) + frames.frame(frames.PING, 0, 0, bytes(8)))
        slow.until(frames.PING)
        running.process.terminate()
        assert running.process.wait(6) == 0
