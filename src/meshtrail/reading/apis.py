"""Jaeger's two HTTP query APIs: which paths and parameters, and what the answers mean.

Classic: what Jaeger UI calls, unversioned, the only one of Jaeger before 1.28. v3: OTLP/JSON; its search needs no
service. Source: jaeger/cmd/query/app/http_handler.go, query_parser.go and apiv3/http_gateway.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from meshtrail.model.trace import Trace
from meshtrail.reading import decode, otlp
from meshtrail.reading.asking import PROTOBUF, Asking

EITHER = f"{PROTOBUF}, application/json;q=0.9"


@dataclass(frozen=True, slots=True)
class Search:
    """Spans that begin from `start_us` to `end_us`; `service` None: any, which only v3 can answer."""

    service: str | None
    start_us: int
    end_us: int
    limit: int
    operation: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Api(Protocol):
    """All raise JaegerError."""

    def services(self) -> tuple[str, ...]: ...
    def trace(self, trace_id: str) -> Trace | None: ...

    def ask(self, search: Search) -> Any:
        """The answer as it came, for `read`: asking waits for the server, reading is work of this process."""

    def read(self, answer: Any) -> tuple[Trace, ...]: ...


class Classic:
    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def services(self) -> tuple[str, ...]:
        answer = self._asking.get("/api/services")
        try:
            return tuple(sorted(str(name) for name in decode.data_of(answer)))
        except ValueError as error:
            raise self._asking.not_jaeger("/api/services", str(error)) from error

    def trace(self, trace_id: str) -> Trace | None:
        path = f"/api/traces/{trace_id}"
        answer = self._asking.get(path, absent=(404,))
        traces = () if answer is None else self._traces(path, answer)
        return traces[0] if traces else None

    def ask(self, search: Search) -> Any:
        if search.service is None:
            raise ValueError("the classic API searches by service")
        query: dict[str, str | int] = {
            "service": search.service,
            "start": search.start_us,
            "end": search.end_us,
            "limit": search.limit,
        }
        if search.operation:
            query["operation"] = search.operation
        if search.tags:
            query["tags"] = json.dumps(dict(search.tags))
        return self._asking.get("/api/traces", query)

    def read(self, answer: Any) -> tuple[Trace, ...]:
        return self._traces("/api/traces", answer)

    def _traces(self, path: str, answer: object) -> tuple[Trace, ...]:
        try:
            return decode.traces_of(answer)
        except ValueError as error:
            raise self._asking.not_jaeger(path, str(error)) from error


class V3:
    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def services(self) -> tuple[str, ...]:
        """An answer without `services` is how protobuf's JSON writes an empty list."""
        answer = self._asking.get("/api/v3/services")
        names = answer.get("services", []) if isinstance(answer, dict) else None
        if not isinstance(names, list) or (answer and "services" not in answer):
            raise self._asking.not_jaeger("/api/v3/services", "no list `services`")
        return tuple(sorted(str(name) for name in names))

    def trace(self, trace_id: str) -> Trace | None:
        path = f"/api/v3/traces/{trace_id}"
        traces = self._traces(path, self._asking.get(path, absent=(404,), accept=EITHER))
        return traces[0] if traces else None

    def ask(self, search: Search) -> Any:
        query: dict[str, str | int] = {
            "query.start_time_min": _rfc3339(search.start_us),
            "query.start_time_max": _rfc3339(search.end_us),
            "query.num_traces": search.limit,
            # What later versions call the same.
            "query.search_depth": search.limit,
        }
        if search.service is not None:
            query["query.service_name"] = search.service
        if search.operation:
            query["query.operation_name"] = search.operation
        query.update({f"query.attributes[{key}]": value for key, value in search.tags.items()})
        return self._asking.get("/api/v3/traces", query, absent=(404,), accept=EITHER)

    def read(self, answer: Any) -> tuple[Trace, ...]:
        return self._traces("/api/v3/traces", answer)

    def _traces(self, path: str, answer: object) -> tuple[Trace, ...]:
        """Several documents when Jaeger streamed them, one a chunk of traces; none at all when nothing was found."""
        if isinstance(answer, bytes):
            # Imported where it is needed: most Jaegers never answer so.
            from meshtrail.reading import otlp_binary

            try:
                return otlp.traces_of(otlp_binary.spans_of(answer))
            except ValueError as error:
                raise self._asking.not_jaeger(path, str(error)) from error
        documents = answer if isinstance(answer, list) else [] if answer is None else [answer]
        try:
            return otlp.traces_of(span for document in documents for span in otlp.spans_of(document))
        except ValueError as error:
            raise self._asking.not_jaeger(path, str(error)) from error


def _rfc3339(time_us: int) -> str:
    """Microseconds of the epoch; what a calendar cannot hold becomes its last moment."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    except OverflowError:
        moment = datetime(9999, 12, 31, tzinfo=UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
