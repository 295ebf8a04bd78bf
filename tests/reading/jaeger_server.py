"""A real HTTP server on loopback that answers as Jaeger's classic query API does, from traces it is given.

The answers' shape is Jaeger 2's, seen on a cluster; faults are set per server.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.model.recorded import as_jaeger
from tests.reading.otlp import as_otlp

from meshtrail.model.trace import Trace


@dataclass
class JaegerServer:
    """`answer` replaces every answer by (status, content type, body); `asked` holds the paths requested.

    `classic` and `v3` are the APIs that it speaks, `login` the authorization header that it wants, `context` its TLS.
    """

    traces: list[Trace] = field(default_factory=list)
    base_path: str = ""
    answer: tuple[int, str, bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    hang: bool = False
    classic: bool = True
    v3: bool = True
    login: str = ""
    context: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}{self.base_path}"

    def reply(self, path: str, authorization: str = "") -> tuple[int, str, bytes]:
        self.asked.append(path)
        if self.login and authorization != self.login:
            return 401, "text/html", b"<h1>who are you?</h1>"
        if self.hang:
            self.released.wait(30)
        if self.answer is not None:
            return self.answer
        parts = urlsplit(path)
        if not parts.path.startswith(f"{self.base_path}/api/" if self.classic else f"{self.base_path}/api/v3/"):
            return 200, "text/html; charset=utf-8", b"<!doctype html><title>Jaeger UI</title>"
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        match parts.path.removeprefix(f"{self.base_path}/api/").split("/"):
            case ["services"]:
                return _json(200, sorted({name for trace in self.traces for name in trace.services}) or None)
            case ["traces"]:
                if "service" not in query:
                    return _error(400, "parameter 'service' is required")
                found = [trace for trace in self.traces if _matches(trace, query)]
                found.sort(key=lambda trace: -trace.start_us)
                return _json(200, [as_jaeger(trace) for trace in found[: int(query.get("limit", 100))]])
            case ["v3", *_] if not self.v3:
                return 404, "text/plain", b"404 page not found"
            case ["v3", "services"]:
                names = sorted({name for trace in self.traces for name in trace.services})
                return _v3(200, {"services": names} if names else {})
            case ["v3", "traces"]:
                limit = int(query.get("query.num_traces", 100))
                return _stream([trace for trace in self.traces if _matches_v3(trace, query)][:limit])
            case ["v3", "traces", trace_id]:
                return _stream([trace for trace in self.traces if trace.trace_id == trace_id])
            case ["traces", trace_id]:
                found = [trace for trace in self.traces if trace.trace_id == trace_id]
                return _json(200, [as_jaeger(found[0])]) if found else _error(404, "trace not found")
        return _error(404, "not found")


@contextmanager
def jaeger_server(*traces: Trace, **settings: Any) -> Iterator[JaegerServer]:
    state = JaegerServer(list(traces), **settings)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = state.reply(self.path, self.headers.get("authorization", ""))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            # A client that has seen enough need not wait for the rest.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    if state.context is not None:
        server.socket = state.context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _matches(trace: Trace, query: dict[str, str]) -> bool:
    tags = json.loads(query.get("tags", "{}"))
    start, end = int(query.get("start", 0)), int(query.get("end", 1 << 62))
    return any(
        span.service == query["service"]
        and query.get("operation", span.name) == span.name
        and start <= span.start_us <= end
        and all(str(span.tags.get(key)) == value for key, value in tags.items())
        for span in trace.spans
    )


def _matches_v3(trace: Trace, query: dict[str, str]) -> bool:
    first, last = (
        datetime.fromisoformat(query[f"query.start_time_{end}"]).timestamp() * 1_000_000 for end in ("min", "max")
    )
    return any(
        query.get("query.service_name", span.service) == span.service and first <= span.start_us <= last
        for span in trace.spans
    )


def _stream(traces: list[Trace]) -> tuple[int, str, bytes]:
    """As grpc-gateway streams: a document a trace, one after the other."""
    if not traces:
        return _v3(404, {"error": {"httpCode": 404, "message": "No traces found"}})
    documents = [json.dumps({"result": as_otlp(trace)}) for trace in traces]
    return 200, "application/json", "\n".join(documents).encode()


def _v3(status: int, answer: dict[str, Any]) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(answer).encode()


def _json(status: int, data: object) -> tuple[int, str, bytes]:
    total = len(data) if isinstance(data, list) else 0
    body = {"data": data, "total": total, "limit": 0, "offset": 0, "errors": None}
    return status, "application/json", json.dumps(body).encode()


def _error(status: int, message: str) -> tuple[int, str, bytes]:
    body = {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": status, "msg": message}]}
    return status, "application/json", json.dumps(body).encode()
