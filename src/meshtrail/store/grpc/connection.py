"""One connection of a gRPC client: h2's events in, answers out.

A request is handled in the turn of the event loop in which its last byte arrived, unless it has to wait for the disk;
all answers of a turn leave in one write. What a client can make the server hold is bounded: headers, messages, streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from meshtrail.store.grpc import messages
from meshtrail.store.refused import TOO_LARGE, UNAVAILABLE, RefusedError

if TYPE_CHECKING:
    from meshtrail.store.grpc.server import GrpcServer

MAX_STREAMS = 1024  # Envoy opens as many before it has read the settings of its peer
MAX_FRAME = 64 * 1024
_DEFAULT_WINDOW, _MAX_WINDOW = 2**16 - 1, 2**31 - 1
_MAX_IDLE_EVENTS = 10_000
_HTTP1 = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks gRPC.\n"

# Takes a message, gives the answer, or an awaitable of it; both may raise RefusedError.
Handler = Callable[[bytes], bytes | Awaitable[bytes]]


class _Http2(H2Connection):
    DEFAULT_MAX_HEADER_LIST_SIZE = 16 * 1024
    MAX_CLOSED_STREAMS = 4 * MAX_STREAMS  # that it remembers: the default takes 10 MiB


# Checking each header is a sixth of the transport's time and keeps out nothing: what is sent is ours, and of what is
# received four are compared with what they must be and the others are not looked at.
_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class Connection(asyncio.Protocol):
    _transport: asyncio.Transport

    def __init__(self, server: GrpcServer) -> None:
        self._server = server
        self._http2 = _Http2(_CONFIG)
        self._calls: dict[int, messages.Call] = {}  # by stream, until they are answered
        self._tasks: set[asyncio.Task[None]] = set()  # calls that wait for the disk
        self._begun = self._closing = False
        self._consumed = 0  # bytes of the connection's window
        self._silent = 0  # bytes since the last event
        self._idle_events = 0  # since the last whole request

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.opened(self)
        settings = {
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: _Http2.DEFAULT_MAX_HEADER_LIST_SIZE,
            # Room for the largest message, so that no request has to wait for a WINDOW_UPDATE.
            SettingCodes.INITIAL_WINDOW_SIZE: self._server.limit + 64 * 1024,
            SettingCodes.MAX_FRAME_SIZE: MAX_FRAME,
        }
        self._http2.local_settings = Settings(client=False, initial_values=settings)
        self._http2.max_inbound_frame_size = MAX_FRAME
        self._http2.initiate_connection()
        self._http2.increment_flow_control_window(_MAX_WINDOW - _DEFAULT_WINDOW)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.closed(self)
        self._forget(*self._calls)

    def data_received(self, data: bytes) -> None:
        if not self._begun and not b"PRI".startswith(data[:3]):
            self._transport.write(_HTTP1)
            self._transport.close()
            return
        self._begun = True
        try:
            received = self._http2.receive_data(data)
        except ProtocolError:  # h2 has its GOAWAY ready
            self._end()
            return
        for event in received:
            if not self._transport.is_closing():
                self._take(event)
        # h2 looks at a frame when it is complete, and at headers when their last frame is: nothing else is that silent.
        # And no client causes that many events without a request between them.
        self._silent = 0 if received else self._silent + len(data)
        if self._silent > MAX_FRAME + 9 or self._idle_events > _MAX_IDLE_EVENTS:
            self._http2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._end()
        self._flush()

    def pause_writing(self) -> None:
        # A client that does not read its answers is not read from either.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def shut_down(self) -> None:
        """Refuse new requests; the connection closes when the last one that was begun is answered."""
        self._closing = True
        self._flush()

    def abort(self) -> None:
        self._transport.abort()

    # Requests

    def _take(self, event: events.Event) -> None:
        match event:
            case events.DataReceived():
                self._data(event)
            case events.StreamEnded():
                self._complete(event.stream_id)
            case events.RequestReceived() if self._closing:
                self._http2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            case events.RequestReceived():
                try:
                    self._calls[event.stream_id] = messages.read_headers(event.headers, self._server.path)
                except RefusedError as refused:
                    self._refuse(event.stream_id, refused)
            case events.ConnectionTerminated():
                self._end()
            case _:
                self._idle_events += 1
                if isinstance(event, events.StreamReset):
                    self._forget(event.stream_id)
                elif isinstance(event, events.WindowUpdated | events.RemoteSettingsChanged):
                    self._send_waiting()

    def _data(self, event: events.DataReceived) -> None:
        self._consumed += event.flow_controlled_length
        if self._consumed > _MAX_WINDOW // 2:
            self._http2.increment_flow_control_window(self._consumed)
            self._consumed = 0
        if not event.data:
            self._idle_events += 1
        call = self._calls.get(event.stream_id)
        if call is None:
            return  # it was refused
        call.body += event.data
        self._server.held += len(event.data)
        if call.size() > self._server.limit:
            refused = RefusedError(TOO_LARGE, f"the message is over {self._server.limit} bytes, the limit")
            self._refuse(event.stream_id, refused)
        elif self._server.held > self._server.max_held:
            self._refuse(event.stream_id, RefusedError(UNAVAILABLE, "too many requests at once"))

    def _complete(self, stream: int) -> None:
        call = self._calls.get(stream)
        if call is None:
            return
        self._idle_events = 0
        try:
            result = self._server.handler(call.message(self._server.limit))
        except RefusedError as refused:
            self._refuse(stream, refused)
            return
        self._server.held -= len(call.body)
        call.body.clear()
        if isinstance(result, bytes):
            self._answer(stream, result)
        else:
            task = asyncio.ensure_future(self._answer_later(stream, result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    # Answers

    async def _answer_later(self, stream: int, result: Awaitable[bytes]) -> None:
        try:
            self._answer(stream, await result)
        except RefusedError as refused:
            self._refuse(stream, refused)
        self._flush()

    def _answer(self, stream: int, message: bytes) -> None:
        call = self._calls.get(stream)
        if call is not None:
            call.answer = messages.framed(message)
            self._send(stream, call.answer)

    def _send_waiting(self) -> None:
        for stream, call in list(self._calls.items()):
            if call.answer:
                self._send(stream, call.answer)

    def _send(self, stream: int, answer: bytes) -> None:
        """Send an answer, unless the client has no room for it yet."""
        with suppress(ProtocolError):  # the client gave up
            if self._http2.local_flow_control_window(stream) < len(answer):
                return
            self._http2.send_headers(stream, messages.HEADERS)
            self._http2.send_data(stream, answer)
            self._http2.send_headers(stream, messages.TRAILERS, end_stream=True)
        self._forget(stream)

    def _refuse(self, stream: int, refused: RefusedError) -> None:
        self._forget(stream)
        with suppress(ProtocolError):
            self._http2.send_headers(stream, messages.refusal(refused), end_stream=True)

    def _forget(self, *streams: int) -> None:
        for stream in streams:
            call = self._calls.pop(stream, None)
            if call is not None:
                self._server.held -= len(call.body)

    def _flush(self) -> None:
        if self._transport.is_closing():
            return
        if self._closing and not self._calls:
            self._http2.close_connection()
            self._end()
        else:
            self._transport.write(self._http2.data_to_send())

    def _end(self) -> None:
        """Send what is to be sent, a GOAWAY at last, and close."""
        self._forget(*self._calls)
        self._transport.write(self._http2.data_to_send())
        self._transport.close()
