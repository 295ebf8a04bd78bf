"""A client of Jaeger's classic HTTP query API (`/api/services`, `/api/traces`, `/api/traces/{id}`).

Works with any server that speaks it: Jaeger 1 and 2, meshtrail's own store, a base path in front (`http://host/jaeger`).
Every failure is a MeshtrailError that says which address failed, how, and what mends it.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import httpx

from meshtrail.errors import MeshtrailError
from meshtrail.model.trace import Trace
from meshtrail.reading.decode import data_of, traces_of

LOOKBACK_US = 48 * 3600 * 1_000_000
"""How far back a search goes when no start is given: Jaeger's own default is two days."""

MAX_SERVICES = 50
"""A search without a service asks for each service in turn; beyond this number that is no longer polite."""

PATIENCE_S = 3.0
BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)

REQUEST_ID_TAG = "guid:x-request-id"


class JaegerError(MeshtrailError):
    """Jaeger could not be asked, or did not answer as Jaeger does."""


class JaegerClient:
    """`url` is the query address, with base path if there is one; `timeout_s` bounds each call.

    Use it as a context manager, or call `close`. Not for several threads at once.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0, headers: Mapping[str, str] | None = None) -> None:
        self.url = _checked(url)
        # A proxy named by the environment cannot reach this machine's own loopback.
        self._http = httpx.Client(
            timeout=timeout_s,
            headers=dict(headers or {}),
            trust_env=not _is_loopback(httpx.URL(self.url).host),
            follow_redirects=False,
        )
        self._timeout_s = timeout_s

    def __enter__(self) -> JaegerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def services(self) -> tuple[str, ...]:
        """Names of all services that have spans, sorted."""
        answer = self._get("/api/services")
        assert answer is not None
        try:
            return tuple(sorted(str(name) for name in data_of(answer)))
        except ValueError as error:
            raise self._not_jaeger("/api/services", str(error)) from error

    def trace(self, trace_id: str) -> Trace | None:
        """The trace of that id (leading zeros may be missing), None when there is none."""
        text = trace_id.strip().lower()
        if not text or len(text) > 32 or any(digit not in "0123456789abcdef" for digit in text):
            raise MeshtrailError(
                f"{trace_id!r} is not a trace id",
                mend="a trace id has up to 32 hex digits, as in traceparent: 00-<trace id>-<span id>-01",
            )
        path = f"/api/traces/{text.rjust(32, '0')}"
        answer = self._get(path, may_be_absent=True)
        traces = () if answer is None else self._traces(path, answer)
        return traces[0] if traces else None

    def find(
        self,
        service: str,
        *,
        operation: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_us: int | None = None,
        end_us: int | None = None,
        limit: int = 20,
    ) -> tuple[Trace, ...]:
        """Whole traces in which `service` has a matching span, in order of start.

        `start_us` and `end_us` bound the start of spans, in microseconds since the epoch; by default the last two days
        up to now. At most `limit` traces; which, when there are more, is the server's choice (usually the newest).
        """
        end_us = int(time.time() * 1_000_000) if end_us is None else end_us
        query: dict[str, str | int] = {
            "service": service,
            "start": end_us - LOOKBACK_US if start_us is None else start_us,
            "end": end_us,
            "limit": limit,
        }
        if operation:
            query["operation"] = operation
        if tags:
            query["tags"] = json.dumps(dict(tags))
        answer = self._get("/api/traces", query)
        assert answer is not None
        return tuple(sorted(self._traces("/api/traces", answer), key=lambda trace: trace.start_us))

    def find_any(
        self,
        *,
        services: Iterable[str] | None = None,
        tags: Mapping[str, str] | None = None,
        start_us: int | None = None,
        end_us: int | None = None,
        limit: int = 20,
    ) -> tuple[Trace, ...]:
        """As `find`, over several services (default: all); `limit` holds for each. Jaeger itself needs a service."""
        names = tuple(self.services() if services is None else dict.fromkeys(services))
        if len(names) > MAX_SERVICES:
            raise MeshtrailError(
                f"{self.url} knows {len(names)} services, too many to ask for each",
                mend="name one with --service, for instance the ingress gateway",
            )
        found: dict[str, Trace] = {}
        for name in names:
            for trace in self.find(name, tags=tags, start_us=start_us, end_us=end_us, limit=limit):
                found[trace.trace_id] = trace
        return tuple(sorted(found.values(), key=lambda trace: trace.start_us))

    def by_request_id(self, request_id: str, *, services: Iterable[str] | None = None) -> tuple[Trace, ...]:
        """Traces in which a proxy saw this x-request-id; several when the headers but not this one were dropped."""
        return self.find_any(services=services, tags={REQUEST_ID_TAG: request_id})

    def wait_for_trace(
        self,
        predicate: Callable[[Trace], bool],
        *,
        deadline_s: float = 10.0,
        service: str | None = None,
        trace_id: str | None = None,
        start_us: int | None = None,
        interval_s: float = 0.1,
    ) -> Trace:
        """Poll until a trace satisfies `predicate`, and give the latest such.

        Looks at the trace `trace_id`, else at those of `service` (default: of all services) since `start_us`. Raises
        JaegerError when `deadline_s` seconds have passed; what failed meanwhile is then its cause.
        """
        deadline = time.monotonic() + deadline_s
        seen = 0
        while True:
            failure: JaegerError | None = None
            try:
                traces = self._look(service, trace_id, start_us)
            except JaegerError as error:
                failure, traces = error, ()
            seen = max(seen, len(traces))
            for trace in reversed(traces):
                if predicate(trace):
                    return trace
            if time.monotonic() + interval_s > deadline:
                break
            time.sleep(interval_s)
        raise JaegerError(
            f"no such trace within {deadline_s:g} s at {self.url}; {seen} others were seen",
            mend="spans can take up to 5 s on a cluster; is the application asked, and sampling not 0?",
        ) from failure

    def _look(self, service: str | None, trace_id: str | None, start_us: int | None) -> tuple[Trace, ...]:
        if trace_id is not None:
            trace = self.trace(trace_id)
            return () if trace is None else (trace,)
        return self.find_any(services=None if service is None else (service,), start_us=start_us)

    def _traces(self, path: str, answer: object) -> tuple[Trace, ...]:
        try:
            return traces_of(answer)
        except ValueError as error:
            raise self._not_jaeger(path, str(error)) from error

    def _ask(self, address: str, query: Mapping[str, Any] | None) -> httpx.Response:
        """A GET, asked again for `PATIENCE_S` when the connection broke.

        A kept one may be closed just as the request goes out; and kubectl ends a port-forward whose connection broke,
        which is started again and takes a moment. What refuses the first connection is not there: no patience.
        """
        try:
            return self._http.get(address, params=query)
        except BROKEN:
            patience = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._http.get(address, params=query)
            except (*BROKEN, httpx.ConnectError):
                if time.monotonic() > patience:
                    raise
                time.sleep(0.1)

    def _get(self, path: str, query: Mapping[str, Any] | None = None, *, may_be_absent: bool = False) -> Any:
        """The decoded answer; None for Jaeger's own "trace not found" if `may_be_absent`."""
        address = self.url + path
        try:
            response = self._ask(address, query)
        except httpx.TimeoutException as error:
            raise JaegerError(
                f"{address} did not answer within {self._timeout_s:g} s",
                mend="is Jaeger overloaded? narrow the search with --service, or ask for one trace id",
            ) from error
        except httpx.ConnectError as error:
            raise JaegerError(
                f"nothing answers at {self.url}: {error}",
                mend="start a mesh with `meshtrail up`, or give the address of a Jaeger with --jaeger",
            ) from error
        except httpx.HTTPError as error:
            raise JaegerError(
                f"{address} broke off: {error or type(error).__name__}",
                mend="is this the query port (16686), not a port that takes spans in (4317, 4318, 9411)?",
            ) from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code == 404 and may_be_absent and _is_jaeger_error(answer):
            return None
        if response.status_code != 200:
            raise self._refused(path, response, answer)
        if answer is None:
            what = "a web page" if "html" in response.headers.get("content-type", "") else "no complete JSON"
            raise self._not_jaeger(path, what)
        return answer

    def _refused(self, path: str, response: httpx.Response, answer: object) -> JaegerError:
        status = response.status_code
        says = f": {_message(answer)}" if _is_jaeger_error(answer) else ""
        mends = {
            401: "this Jaeger wants a login; reach it past its proxy, e.g. with kubectl port-forward",
            403: "this Jaeger refuses access; reach it past its proxy, e.g. with kubectl port-forward",
            404: "is this the query port (16686)? is there a base path to add (http://host/jaeger)?",
        }
        mend = "see Jaeger's own log" if status >= 500 else mends.get(status, "is this the query address of a Jaeger?")
        if response.is_redirect:
            mend = f"it points to {response.headers.get('location', 'nowhere')}: give the final address"
        return JaegerError(f"{self.url}{path} answered {status}{says}", mend=mend)

    def _not_jaeger(self, path: str, detail: str) -> JaegerError:
        return JaegerError(
            f"{self.url}{path} does not answer as Jaeger's query API does: {detail}",
            mend="give the address of a Jaeger query service (port 16686), with its base path if it has one",
        )


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise MeshtrailError(f"{url!r} is not an address: {error}", mend="e.g. http://127.0.0.1:16686") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise MeshtrailError(f"{url!r} is not an http address", mend="e.g. http://127.0.0.1:16686")
    return str(parsed.copy_with(query=None, fragment=None)).rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _is_jaeger_error(answer: object) -> bool:
    """Jaeger's error body is `{"data": null, "errors": [{"code": 404, "msg": "trace not found"}]}`."""
    return isinstance(answer, dict) and isinstance(answer.get("errors"), list) and bool(answer["errors"])


def _message(answer: object) -> str:
    assert isinstance(answer, dict)
    first = answer["errors"][0]
    return str(first.get("msg", "") if isinstance(first, dict) else first)[:200]
