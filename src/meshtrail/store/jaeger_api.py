"""Jaeger's classic HTTP API, as Jaeger UI, Grafana and scripts call it.

Source: jaeger/cmd/query/app/http_handler.go and query_parser.go (v2.13); texts of errors are Jaeger's own.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from meshtrail.store.go_format import parse_hex64
from meshtrail.store.jaeger_json import trace_json
from meshtrail.store.jaeger_params import ParameterError, dependency_window_ns, flag, refusing, trace_query
from meshtrail.store.search import calls, find_traces, operations
from meshtrail.store.store import StoredSpan, TraceStore

_NOT_FOUND = "trace not found"
# Below this number of spans a trip to another thread costs more than converting them here.
_IN_LOOP = 200
# Traces looked at before others get a turn, where a request must see all of them.
_SLICE = 200


def routes(store: TraceStore) -> list[Route]:
    async def services(_: Request) -> Response:
        names = store.index.services()
        return _answer(names or None, total=len(names))

    async def legacy_operations(request: Request) -> Response:
        names = sorted({name for name, _ in operations(store, request.path_params["service"])})
        return _answer(names or None, total=len(names))

    async def all_operations(request: Request) -> Response:
        service = request.query_params.get("service", "")
        if not service:
            raise ParameterError("parameter 'service' is required")
        found = operations(store, service, request.query_params.get("spanKind", ""))
        return _answer([{"name": name, "spanKind": kind} for name, kind in found], total=len(found))

    async def one_trace(request: Request) -> Response:
        trace_id = parse_trace_id(request.path_params["trace_id"])
        raw = flag(request.query_params, "raw")
        spans = store.spans(trace_id)
        if not spans:
            return _error(404, _NOT_FOUND)
        return await _traces([spans], raw=raw)

    async def search(request: Request) -> Response:
        query = trace_query(request.query_params, store.limits.max_traces)
        wanted = request.query_params.getlist("traceID")
        raw = flag(request.query_params, "raw")
        errors: list[dict[str, Any]] = []
        if wanted:
            found = []
            for text in wanted:
                try:
                    trace_id = parse_trace_id(text)
                except ParameterError as error:
                    raise ParameterError(f"cannot parse traceID param: {error}") from None
                spans = store.spans(trace_id)
                if spans:
                    found.append(spans)
                else:
                    errors.append({"msg": _NOT_FOUND, "traceID": trace_id.hex().removeprefix("0" * 16)})
        elif not query.service:
            raise ParameterError("parameter 'service' is required")
        else:
            found = [store.spans(trace_id) for trace_id in find_traces(store, query)]
        return await _traces(found, raw=raw, errors=errors)

    async def dependencies(request: Request) -> Response:
        start, end = dependency_window_ns(request.query_params)
        service = request.query_params.get("service", "")
        links: Counter[tuple[str, str]] = Counter()
        for at, trace in enumerate(list(store.index.traces.values())):
            if trace.start_ns > start and trace.end_ns < end:
                links += calls(store.spans(trace.id))
            if at % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        return _answer(
            [
                {"parent": parent, "child": child, "callCount": count}
                for (parent, child), count in sorted(links.items())
                if service in ("", parent, child)
            ]
        )

    async def clear(_: Request) -> Response:
        count = store.clear()
        if store.journal is not None:
            await store.journal.committed()
        return _answer({"deletedTraces": count})

    return [
        Route("/api/services", refusing(services, _error)),
        Route("/api/services/{service:path}/operations", refusing(legacy_operations, _error)),
        Route("/api/operations", refusing(all_operations, _error)),
        Route("/api/traces", refusing(search, _error)),
        Route("/api/traces", refusing(clear, _error), methods=["DELETE"]),
        Route("/api/traces/{trace_id}", refusing(one_trace, _error)),
        Route("/api/dependencies", refusing(dependencies, _error)),
    ]


def parse_trace_id(text: str) -> bytes:
    """16 bytes of up to 32 hex digits; shorter ones are padded on the left. Raises ParameterError in Go's words."""
    if len(text) > 32:
        raise ParameterError(f"TraceID cannot be longer than 32 hex characters: {text[:100]}")
    try:
        high = parse_hex64(text[:-16]) if len(text) > 16 else 0
        return (high << 64 | parse_hex64(text[-16:])).to_bytes(16)
    except ValueError as error:
        raise ParameterError(str(error)) from None


async def _traces(found: list[list[StoredSpan]], *, raw: bool, errors: list[dict[str, Any]] | None = None) -> Response:
    """The answer with whole traces; a large one is made in a thread, so that spans go on being received."""

    def convert() -> bytes:
        return _encode([trace_json(spans, raw=raw) for spans in found], errors=errors or None)

    small = sum(map(len, found)) <= _IN_LOOP
    body = convert() if small else await asyncio.to_thread(convert)
    return Response(body, media_type="application/json")


def _encode(data: object, total: int = 0, errors: list[dict[str, Any]] | None = None) -> bytes:
    answer = {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _answer(data: object, total: int = 0) -> Response:
    return Response(_encode(data, total), media_type="application/json")


def _error(status: int, message: str) -> Response:
    body = _encode(None, errors=[{"code": status, "msg": message}]) + b"\n"
    # Jaeger says text/plain here, and nosniff with it.
    return Response(body, status, media_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})
