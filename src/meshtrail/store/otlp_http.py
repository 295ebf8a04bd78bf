"""OTLP over HTTP: POST /v1/traces in protobuf or JSON."""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from meshtrail.store.http_body import content_type, read_body
from meshtrail.store.otlp import Outcome, response_for
from meshtrail.store.otlp_json import parse_request
from meshtrail.store.refused import UNSUPPORTED, RefusedError
from meshtrail.store.store import TraceStore

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"


def create_app(store: TraceStore) -> Starlette:
    async def traces(request: Request) -> Response:
        kind = content_type(request)
        try:
            if kind not in (_PROTOBUF, _JSON):
                raise RefusedError(UNSUPPORTED, f"Content-Type {kind[:80]!r}: send {_PROTOBUF} or {_JSON}")
            body = await read_body(request, store.limits.max_body_bytes)
            if kind == _JSON:
                body = parse_request(body, store.limits).SerializeToString()
            outcome = store.add(body)
            if store.journal is not None:
                await store.journal.committed()
        except RefusedError as refused:
            return _refusal(refused, kind)
        return _success(outcome, kind)

    return Starlette(routes=[Route("/v1/traces", traces, methods=["POST"])])


def _success(outcome: Outcome, kind: str) -> Response:
    if kind == _JSON:
        answer: dict[str, object] = {}
        if outcome.rejected:
            # 64-bit integers are strings in protobuf's JSON.
            answer["partialSuccess"] = {"rejectedSpans": str(outcome.rejected), "errorMessage": outcome.reason}
        return Response(json.dumps(answer), media_type=_JSON)
    return Response(response_for(outcome).SerializeToString(), media_type=_PROTOBUF)


def _refusal(refused: RefusedError, kind: str) -> Response:
    """A google.rpc.Status, in the encoding of the request (protobuf only when the request was)."""
    status = refused.status
    if kind == _PROTOBUF:
        return Response(_encode_status(status.grpc, refused.message), status.http, media_type=_PROTOBUF)
    return Response(json.dumps({"code": status.grpc, "message": refused.message}), status.http, media_type=_JSON)


def _encode_status(code: int, message: str) -> bytes:
    """google.rpc.Status{code = 1, message = 2}: two fields do not earn a dependency."""
    text = message.encode()
    length = bytearray()
    size = len(text)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes((0x08, code, 0x12)) + bytes(length) + text
