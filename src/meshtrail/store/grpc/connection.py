"""One connection of a gRPC client: frames in, answers out (RFC 9113).

A request is handled in the turn of the event loop in which its last byte arrived, unless it has to wait for the disk;
all answers of a turn leave in one write. What a client can make the server hold is bounded: headers, messages, streams.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from meshtrail.store.grpc import frames
from meshtrail.store.grpc.frames import Http2Error
from meshtrail.store.grpc.hpack import Decoder, HpackError
from meshtrail.store.grpc.messages import PREFIX_SIZE, Call, answer, message_size, read_headers, read_message, refusal
from meshtrail.store.refused import TOO_LARGE, UNAVAILABLE, RefusedError

if TYPE_CHECKING:
    from meshtrail.store.grpc.server import GrpcServer

MAX_STREAMS = 100
MAX_FRAME = 256 * 1024
_MAX_HEADER_BLOCK = 16 * 1024
# Frames that ask for an answer and bring no request; more of them in a row than any client sends is an attack.
_MAX_IDLE_FRAMES = 10_000
_HTTP1 = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks gRPC.\n"

# Takes a message, gives the answer, or an awaitable of it.
Handler = Callable[[bytes], bytes | Awaitable[bytes]]


class _Stream:
    """A request on its way in, and the room for the answer on its way out."""

    __slots__ = ("body", "call", "complete", "window")

    def __init__(self, call: Call, window: int) -> None:
        self.call = call
        self.body = bytearray()
        self.complete = False
        self.window = window


class Connection(asyncio.Protocol):
    def __init__(self, server: GrpcServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._in = bytearray()
        self._out: list[bytes] = []
        self._greeted = False
        self._hpack = Decoder()
        self._streams: dict[int, _Stream] = {}
        self._last_stream = 0
        self._block: tuple[int, int, bytearray] | None = None  # stream, flags, header block so far
        self._window = frames.DEFAULT_WINDOW
        self._peer_window = frames.DEFAULT_WINDOW
        self._unsent: deque[tuple[int, bytes, bytes]] = deque()
        self._consumed = 0
        self._idle_frames = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.opened(self)
        settings = {
            frames.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            frames.INITIAL_WINDOW_SIZE: self._server.limit + 64 * 1024,
            frames.MAX_FRAME_SIZE: MAX_FRAME,
        }
        widen = frames.MAX_WINDOW - frames.DEFAULT_WINDOW
        self._transport.write(frames.settings(settings) + frames.window_update(0, widen))

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.closed(self)
        self._server.held -= sum(len(stream.body) for stream in self._streams.values())
        self._streams.clear()
        self._closing = True

    def data_received(self, data: bytes) -> None:
        self._in += data
        try:
            self._read()
        except Http2Error as error:
            self._fail(error.code, str(error))
        except HpackError as error:
            self._fail(frames.COMPRESSION_ERROR, str(error))
        self._write()

    def pause_writing(self) -> None:
        # A client that does not read its answers is not read from either.
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def shut_down(self) -> None:
        """Say that no new request is taken; the connection closes when the last one is answered."""
        if not self._closing:
            self._closing = True
            self._out.append(frames.goaway(self._last_stream, frames.NO_ERROR))
            self._write()
            self._close_when_done()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Frames

    def _read(self) -> None:
        data = self._in
        at = 0
        if not self._greeted:
            if not frames.PREFACE.startswith(data[: len(frames.PREFACE)]):
                if self._transport is not None:
                    self._transport.write(_HTTP1)
                    self._transport.close()
                data.clear()
                return
            if len(data) < len(frames.PREFACE):
                return
            self._greeted = True
            at = len(frames.PREFACE)
        while len(data) - at >= frames.HEAD_SIZE and not (self._transport is None or self._transport.is_closing()):
            size, kind, flags, stream = frames.read_head(data, at)
            if size > MAX_FRAME:
                raise Http2Error(frames.FRAME_SIZE_ERROR, "a frame over the size that was agreed")
            end = at + frames.HEAD_SIZE + size
            if len(data) < end:
                break
            payload = bytes(data[at + frames.HEAD_SIZE : end])
            at = end
            self._frame(kind, flags, stream, payload)
        del data[:at]

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or self._block[0] != stream):
            raise Http2Error(frames.PROTOCOL_ERROR, "a header block is not continued")
        if kind == frames.DATA:
            self._data(flags, stream, payload)
        elif kind == frames.HEADERS:
            payload = frames.without_padding(payload, flags)
            if flags & frames.HAS_PRIORITY:
                payload = payload[5:]
            self._headers(flags, stream, bytearray(payload))
        elif kind == frames.CONTINUATION:
            if self._block is None:
                raise Http2Error(frames.PROTOCOL_ERROR, "CONTINUATION of nothing")
            _, first_flags, block = self._block
            self._headers(first_flags | flags & frames.END_HEADERS, stream, block + payload)
        elif kind == frames.WINDOW_UPDATE:
            self._more_window(stream, frames.read_u32(payload))
        elif kind == frames.RST_STREAM:
            self._count_idle()
            self._drop(stream)
        elif kind == frames.SETTINGS:
            self._settings(flags, payload)
        elif kind == frames.PING:
            self._ping(flags, payload)
        elif kind == frames.PUSH_PROMISE:
            raise Http2Error(frames.PROTOCOL_ERROR, "a client cannot push")
        # PRIORITY, GOAWAY and unknown frames need nothing.

    def _headers(self, flags: int, stream: int, block: bytearray) -> None:
        if len(block) > _MAX_HEADER_BLOCK:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, f"more than {_MAX_HEADER_BLOCK} bytes of headers")
        if not flags & frames.END_HEADERS:
            self._count_idle()
            self._block = (stream, flags, block)
            return
        self._block = None
        headers = self._hpack.decode(bytes(block))
        known = self._streams.get(stream)
        if known is not None:  # trailers
            if flags & frames.END_STREAM and not known.complete:
                self._complete(stream, known)
            return
        if stream <= self._last_stream:
            return  # of a stream that was answered or reset already
        if stream % 2 == 0:
            raise Http2Error(frames.PROTOCOL_ERROR, "a client's streams are odd")
        self._last_stream = stream
        if self._closing or len(self._streams) >= MAX_STREAMS:
            self._out.append(frames.rst_stream(stream, frames.REFUSED_STREAM))
            return
        call = read_headers(headers, self._server.path)
        if call.refusal is not None:
            self._out.append(refusal(stream, call.refusal, call.http_status))
            self._stop(stream, flags)
            return
        request = self._streams[stream] = _Stream(call, self._peer_window)
        if flags & frames.END_STREAM:
            self._complete(stream, request)

    def _data(self, flags: int, stream: int, payload: bytes) -> None:
        self._consumed += len(payload)
        if self._consumed >= 2**28:
            self._out.append(frames.window_update(0, self._consumed))
            self._consumed = 0
        request = self._streams.get(stream)
        if request is None:
            if stream > self._last_stream or stream == 0:
                raise Http2Error(frames.PROTOCOL_ERROR, "DATA of a stream that was not opened")
            return
        if request.complete:
            raise Http2Error(frames.STREAM_CLOSED, "DATA after the end of a request")
        payload = frames.without_padding(payload, flags)
        if not payload and not flags & frames.END_STREAM:
            self._count_idle()
        request.body += payload
        self._server.held += len(payload)
        body, limit = request.body, self._server.limit
        if len(body) >= PREFIX_SIZE and max(message_size(body), len(body) - PREFIX_SIZE) > limit:
            self._refuse(stream, flags, RefusedError(TOO_LARGE, f"the message is over {limit} bytes, the limit"))
        elif self._server.held > self._server.max_held:
            self._refuse(stream, flags, RefusedError(UNAVAILABLE, "too many requests at once"))
        elif flags & frames.END_STREAM:
            self._complete(stream, request)

    def _refuse(self, stream: int, flags: int, refused: RefusedError) -> None:
        self._drop(stream)
        self._out.append(refusal(stream, refused))
        self._stop(stream, flags)

    def _stop(self, stream: int, flags: int) -> None:
        """After an answer that did not wait for the end of the request: tell the client to send no more of it."""
        if not flags & frames.END_STREAM:
            self._out.append(frames.rst_stream(stream, frames.NO_ERROR))

    def _drop(self, stream: int) -> None:
        gone = self._streams.pop(stream, None)
        if gone is not None:
            self._server.held -= len(gone.body)

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        self._count_idle()
        for name, value in frames.read_settings(payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                if value > frames.MAX_WINDOW:
                    raise Http2Error(frames.FLOW_CONTROL_ERROR, "a window that is too large")
                for stream in self._streams.values():
                    stream.window += value - self._peer_window
                self._peer_window = value
        self._out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._send_waiting()

    def _ping(self, flags: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise Http2Error(frames.FRAME_SIZE_ERROR, "PING of a wrong size")
        if not flags & frames.ACK:
            self._count_idle()
            self._out.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _count_idle(self) -> None:
        self._idle_frames += 1
        if self._idle_frames > _MAX_IDLE_FRAMES:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "too many frames without a request")

    # Requests and answers

    def _complete(self, stream: int, request: _Stream) -> None:
        body = bytes(request.body)
        self._server.held -= len(body)
        request.body, request.complete = bytearray(), True
        try:
            result = self._server.handler(read_message(request.call, body, self._server.limit))
        except RefusedError as refused:
            self._streams.pop(stream, None)
            self._out.append(refusal(stream, refused))
            return
        self._idle_frames = 0
        if isinstance(result, bytes):
            self._answer(stream, result)
        else:
            task = asyncio.ensure_future(self._answer_later(stream, result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer_later(self, stream: int, result: Awaitable[bytes]) -> None:
        try:
            message = await result
        except RefusedError as refused:
            if self._streams.pop(stream, None) is not None:
                self._out.append(refusal(stream, refused))
        else:
            if stream in self._streams:
                self._answer(stream, message)
        self._write()

    def _answer(self, stream: int, message: bytes) -> None:
        head, data, trailers = answer(stream, message)
        self._out.append(head)
        self._unsent.append((stream, data, trailers))
        self._send_waiting()

    def _more_window(self, stream: int, more: int) -> None:
        if more == 0:
            raise Http2Error(frames.PROTOCOL_ERROR, "a window that does not grow")
        self._count_idle()
        if stream == 0:
            self._window += more
        elif stream in self._streams:
            self._streams[stream].window += more
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Send the messages for which the client has room; there is rarely one for which it has not."""
        kept: deque[tuple[int, bytes, bytes]] = deque()
        while self._unsent:
            stream, data, trailers = self._unsent.popleft()
            request = self._streams.get(stream)
            if request is None:
                continue  # reset by the client
            size = len(data) - frames.HEAD_SIZE
            if size > self._window or size > request.window:
                kept.append((stream, data, trailers))
                continue
            self._window -= size
            del self._streams[stream]
            self._out += (data, trailers)
        self._unsent = kept

    def _write(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()
        if self._closing:
            self._close_when_done()

    def _close_when_done(self) -> None:
        if not self._streams and self._transport is not None:
            self._transport.close()

    def _fail(self, code: int, message: str) -> None:
        self._out.append(frames.goaway(self._last_stream, code, message))
        for stream in list(self._streams):
            self._drop(stream)
        self._closing = True
