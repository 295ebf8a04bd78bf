"""Calling the next service: its failures become a 502 or 504 that names it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from meshtrail_common.errors import ServiceError

# A changed listener takes new connections only: after a second of silence the next request opens one, and so follows a
# new Telemetry or provider at once. Under load connections are kept all the same.
LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=1)
ANSWER_LIMIT = 1024 * 1024  # bytes


class TooLargeError(httpx.ReadError):
    """The answer has more than ANSWER_LIMIT bytes."""


class Transport(httpx.HTTPTransport):
    """HTTPTransport with two habits more.

    It asks a second time when the server closed the kept connection just as the request was sent (RFC 9110, 9.2.2):
    only for GET, and only when not a byte of an answer came. And the timeout holds for the answer as a whole, not for
    each piece of it, which has a limit to its size too.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        end = time.monotonic() + request.extensions["timeout"]["read"]
        try:
            response = super().handle_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if request.method != "GET":
                raise
            response = super().handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Bounded(response.stream, end)
        return response


class _Bounded(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, end: float) -> None:
        self.stream = stream
        self.end = end

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self.stream:
            size += len(chunk)
            if time.monotonic() > self.end:
                raise httpx.ReadTimeout("the answer is not complete in time")
            if size > ANSWER_LIMIT:
                raise TooLargeError(f"the answer is larger than {ANSWER_LIMIT} bytes")
            yield chunk

    def close(self) -> None:
        self.stream.close()


class AsyncTransport(httpx.AsyncHTTPTransport):
    """AsyncHTTPTransport with the habits of Transport."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        end = time.monotonic() + request.extensions["timeout"]["read"]
        try:
            response = await super().handle_async_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if request.method != "GET":
                raise
            response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _AsyncBounded(response.stream, end)
        return response


class _AsyncBounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, end: float) -> None:
        self.stream = stream
        self.end = end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self.stream:
            size += len(chunk)
            if time.monotonic() > self.end:
                raise httpx.ReadTimeout("the answer is not complete in time")
            if size > ANSWER_LIMIT:
                raise TooLargeError(f"the answer is larger than {ANSWER_LIMIT} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self.stream.aclose()


def _options(url: str) -> dict[str, Any]:
    # Loading the certificate authorities takes 30 ms and 5 MB, for nothing when the sidecar does the TLS.
    return {"limits": LIMITS, "verify": url.startswith("https:")}


def client(url: str, timeout: float) -> httpx.Client:
    """Return a client for one upstream, safe to share between threads.

    `timeout` is in seconds: to connect, to send, and for the answer as a whole. `trust_env=False`: a proxy in the
    environment must never come between a service and its sidecar.
    """
    return httpx.Client(base_url=url, timeout=timeout, trust_env=False, transport=Transport(**_options(url)))


def async_client(url: str, timeout: float) -> httpx.AsyncClient:
    """As `client`, for an event loop."""
    return httpx.AsyncClient(base_url=url, timeout=timeout, trust_env=False, transport=AsyncTransport(**_options(url)))


@contextmanager
def upstream_errors(name: str, timeout: float) -> Iterator[None]:
    """Turn what can go wrong with a call to `name` into a ServiceError."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise ServiceError(504, f"upstream {name} timed out after {timeout:g} s") from error
    except httpx.ConnectError as error:
        raise ServiceError(502, f"upstream {name} failed: cannot connect") from error
    except TooLargeError as error:
        raise ServiceError(502, f"upstream {name} failed: {error}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceError(502, f"upstream {name} failed: {type(error).__name__}") from error


def json_of(name: str, response: httpx.Response) -> Any:
    """Return the JSON of a 2xx answer; ServiceError 502 for any other answer."""
    if not response.is_success:
        raise ServiceError(502, f"upstream {name} failed: answered {response.status_code}")
    try:
        return response.json()
    except (ValueError, RecursionError) as error:
        raise ServiceError(502, f"upstream {name} failed: the answer is not JSON") from error
