"""Jaeger's HTTP API v3: traces in OTLP/JSON, and the summaries that Jaeger UI 2.20 lists.

Source: jaeger/cmd/query/app/apiv3/http_gateway.go (v2.13); summaries: jaeger-idl v0.14, api_v3/query_service.proto.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Status
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from meshtrail.store.jaeger_api import parse_trace_id
from meshtrail.store.jaeger_model import sane_times
from meshtrail.store.jaeger_params import ParameterError, flag, refusing, trace_query_v3
from meshtrail.store.otlp_binary import MEDIA_TYPE, traces_data
from meshtrail.store.otlp_trace import resource_spans
from meshtrail.store.search import find_traces, operations
from meshtrail.store.store import StoredSpan, TraceStore

_IN_LOOP = 200


def routes(store: TraceStore) -> list[Route]:
    async def services(_: Request) -> Response:
        names = store.index.services()
        return _answer({"services": names} if names else {})

    async def all_operations(request: Request) -> Response:
        params = request.query_params
        kind = params.get("span_kind", "") or params.get("spanKind", "")
        found = operations(store, params.get("service", ""), kind)
        pairs = [{"name": name, "spanKind": kind} for name, kind in found]
        names = [{key: value for key, value in pair.items() if value} for pair in pairs]
        return _answer({"operations": names})

    async def one_trace(request: Request) -> Response:
        try:
            trace_id = parse_trace_id(request.path_params["trace_id"])
        except ParameterError as error:
            raise ParameterError(f"malformed parameter trace_id: {error}") from None
        raw = flag(request.query_params, "raw_traces")
        return await _traces([store.spans(trace_id)], raw=raw, binary=_wants_binary(request))

    async def traces(request: Request) -> Response:
        query = trace_query_v3(request.query_params, store.limits.max_traces)
        raw = flag(request.query_params, "query.raw_traces")
        found = [store.spans(trace_id) for trace_id in find_traces(store, query)]
        return await _traces(found, raw=raw, binary=_wants_binary(request))

    async def summaries(request: Request) -> Response:
        query = trace_query_v3(request.query_params, store.limits.max_traces)
        found = [store.spans(trace_id) for trace_id in find_traces(store, query)]
        if sum(map(len, found)) <= _IN_LOOP:
            return _answer({"summaries": [summary(spans) for spans in found]})
        return _answer({"summaries": await asyncio.to_thread(lambda: [summary(spans) for spans in found])})

    return [
        Route("/api/v3/services", refusing(services, _error)),
        Route("/api/v3/operations", refusing(all_operations, _error)),
        Route("/api/v3/traces", refusing(traces, _error)),
        Route("/api/v3/traces/{trace_id}", refusing(one_trace, _error)),
        Route("/api/v3/trace-summaries", refusing(summaries, _error)),
    ]


def summary(stored: list[StoredSpan]) -> dict[str, Any]:
    """What a list of traces shows of one; times are ns as decimal strings.

    The root is the earliest span without a parent.
    """
    decoded = [(item.envelope.service, item.decode()) for item in stored]
    ids = {span.span_id for _, span in decoded}
    spans, errors = Counter[str](), Counter[str]()
    root: tuple[int, str, str] | None = None
    orphans = 0
    starts, ends = [], []
    for service, span in decoded:
        start, end, _ = sane_times(span)
        starts.append(start)
        ends.append(end)
        spans[service] += 1
        errors[service] += span.status.code == Status.STATUS_CODE_ERROR
        if any(span.parent_span_id):
            orphans += span.parent_span_id not in ids
        elif root is None or start < root[0]:
            root = (start, service, span.name)
    return {
        "traceId": decoded[0][1].trace_id.hex(),
        "rootServiceName": root[1] if root else "",
        "rootOperationName": root[2] if root else "",
        "minStartTimeUnixNano": str(min(starts)),
        "maxEndTimeUnixNano": str(max(ends)),
        "spanCount": len(decoded),
        "errorSpanCount": errors.total(),
        "orphanSpanCount": orphans,
        "services": [
            {"name": name, "spanCount": spans[name], "errorSpanCount": errors[name]} for name in sorted(spans)
        ],
    }


def _wants_binary(request: Request) -> bool:
    """Not a question that Jaeger knows: it answers in JSON whatever it is asked for."""
    return MEDIA_TYPE in request.headers.get("accept", "")


async def _traces(found: list[list[StoredSpan]], *, raw: bool, binary: bool) -> Response:
    if not any(found):
        return _error(404, "No traces found")
    if binary:
        small = sum(map(len, found)) <= _IN_LOOP
        body = traces_data(found) if small else await asyncio.to_thread(traces_data, found)
        return Response(body, media_type=MEDIA_TYPE)

    def convert() -> dict[str, Any]:
        return {"result": {"resourceSpans": [part for spans in found for part in resource_spans(spans, raw=raw)]}}

    small = sum(map(len, found)) <= _IN_LOOP
    return _answer(convert() if small else await asyncio.to_thread(convert))


def _answer(answer: dict[str, Any]) -> Response:
    body = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, media_type="application/json")


def _error(status: int, message: str) -> Response:
    body = json.dumps({"error": {"httpCode": status, "message": message}}) + "\n"
    return Response(body, status, media_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})
