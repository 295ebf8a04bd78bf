"""A client of Jaeger's HTTP query API, classic or v3: whichever the server speaks.

Works with any such server: Jaeger 1 and 2, meshtrail's own store, a base path in front (`http://host/jaeger`).
Every failure is a MeshtrailError that says which address failed, how, and what mends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from meshtrail.errors import MeshtrailError
from meshtrail.model.trace import Trace
from meshtrail.reading.access import Access
from meshtrail.reading.apis import V3, Api, Classic, Search
from meshtrail.reading.asking import Asking, JaegerError, OtherApiError

LOOKBACK_US = 48 * 3600 * 1_000_000
"""How far back a search goes when no start is given: Jaeger's own default is two days."""

MAX_SERVICES = 50
"""A search without a service asks for each service in turn; beyond this number that is no longer polite."""

REQUEST_ID_TAG = "guid:x-request-id"

T = TypeVar("T")

__all__ = ["LOOKBACK_US", "MAX_SERVICES", "REQUEST_ID_TAG", "JaegerClient", "JaegerError"]


@dataclass(frozen=True, slots=True)
class Searching:
    """`ask` may run in another thread while `read` turns the last answer into traces. Both raise JaegerError."""

    _api: Api
    _service: str | None

    def ask(self, start_us: int, end_us: int, limit: int) -> Any:
        return self._api.ask(Search(self._service, start_us, end_us, limit))

    def read(self, answer: Any) -> tuple[Trace, ...]:
        """In order of start."""
        return _ordered(self._api.read(answer))


class JaegerClient:
    """`at` is the query address, with base path if there is one, or an Access; `timeout_s` bounds each call.

    Use it as a context manager, or call `close`. Not for several threads at once.
    """

    def __init__(self, at: str | Access, *, timeout_s: float = 10.0) -> None:
        self.access = Access.of(at) if isinstance(at, str) else at
        self._asking = Asking(self.access, timeout_s)
        self._api: Api = Classic(self._asking)
        self._sure = False

    @property
    def url(self) -> str:
        """The address without user and password."""
        return self.access.url

    def __enter__(self) -> JaegerClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._asking.close()

    def services(self) -> tuple[str, ...]:
        """Names of all services that have spans, sorted."""
        return self._either(lambda api: api.services())

    def trace(self, trace_id: str) -> Trace | None:
        """The trace of that id (leading zeros may be missing), None when there is none."""
        text = trace_id.strip().lower()
        if not text or len(text) > 32 or any(digit not in "0123456789abcdef" for digit in text):
            raise MeshtrailError(
                f"{trace_id!r} is not a trace id",
                mend="a trace id has up to 32 hex digits, as in traceparent: 00-<trace id>-<span id>-01",
            )
        return self._either(lambda api: api.trace(text.rjust(32, "0")))

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
        start_us = end_us - LOOKBACK_US if start_us is None else start_us
        search = Search(service, start_us, end_us, limit, operation, tags or {})
        return _ordered(self._either(lambda api: api.read(api.ask(search))))

    def search_all(self, *, start_us: int, end_us: int) -> Searching | None:
        """For many traces of any service in that time: questions and answers apart.

        None where a search must name a service, and where there is nothing. Only v3 can do without a name, and there it
        is up to the storage behind it.
        """
        v3 = V3(self._asking)
        try:
            # Some refuse, others answer that there is none. A longer time would have Elasticsearch open more indices.
            found = v3.read(v3.ask(Search(None, start_us, end_us, 1)))
        except JaegerError:
            return None
        return Searching(v3, None) if found else None

    def search(self, service: str) -> Searching:
        """For many traces of one service: questions and answers apart."""
        self._either(lambda api: api.services())
        return Searching(self._api, service)

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

    def _either(self, ask: Callable[[Api], T]) -> T:
        """Ask by the classic API; where something else answers there, by v3 if it answers to that."""
        try:
            answer = ask(self._api)
        except OtherApiError as error:
            if self._sure:
                raise
            v3 = V3(self._asking)
            try:
                v3.services()
            except JaegerError:
                raise error from None
            self._api = v3
            answer = ask(v3)
        self._sure = True
        return answer


def _ordered(traces: tuple[Trace, ...]) -> tuple[Trace, ...]:
    return tuple(sorted(traces, key=lambda trace: trace.start_us))
