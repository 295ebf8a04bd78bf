"""Zipkin's collector: POST /api/v2/spans."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from meshtrail.store.http_body import content_type, read_body
from meshtrail.store.refused import UNSUPPORTED, RefusedError
from meshtrail.store.store import TraceStore
from meshtrail.store.zipkin import parse_spans

# Zipkin clients are lax about the type, and Envoy says application/json; only what is surely not JSON is refused.
_NOT_JSON = frozenset({"application/x-protobuf", "application/x-thrift"})


def create_app(store: TraceStore) -> Starlette:
    async def receive(request: Request) -> Response:
        try:
            kind = content_type(request)
            if kind in _NOT_JSON:
                raise RefusedError(UNSUPPORTED, f"Content-Type {kind!r}: send application/json")
            spans = parse_spans(await read_body(request, store.limits.max_body_bytes))
            outcome = store.add(spans.SerializeToString())
            if store.journal is not None:
                await store.journal.committed()
        except RefusedError as refused:
            return PlainTextResponse(refused.message + "\n", refused.status.http)
        # Zipkin has no partial success; the sender learns it from the text.
        note = f"{outcome.rejected} spans rejected: {outcome.reason}\n" if outcome.rejected else ""
        return PlainTextResponse(note, 202)

    return Starlette(routes=[Route("/api/v2/spans", receive, methods=["POST"])])
