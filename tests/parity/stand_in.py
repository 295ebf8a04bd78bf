"""The application of the recordings: three services that call one another and forward what FORWARD says.

NAME, NEXT (the next service's URL, may be empty), FORWARD (all, b3, w3c, none) and PORT come from the manifest.
`/fail` makes the last service answer 503 and its callers 502; `/healthz` answers the name.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

W3C = ("traceparent", "tracestate", "baggage")
B3 = ("b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags")
OTHERS = ("x-ot-span-context", "grpc-trace-bin", "x-cloud-trace-context", "sw8")
FORWARDED = {
    "all": ("x-request-id", *B3, *W3C, *OTHERS),
    "b3": ("x-request-id", *B3),
    "w3c": ("x-request-id", *W3C),
    "none": (),
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


class StandIn:
    """One service on a loopback port; `seen` holds the headers of its last request, names in lower case."""

    def __init__(self) -> None:
        self.environment: Mapping[str, str] = {}
        self.seen: dict[str, str] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        name, following = self.environment["NAME"], self.environment["NEXT"]
        if path == "/healthz":
            return 200, name
        self.seen = {key.lower(): value for key, value in headers.items()}
        if not following:
            return (503, "error 503") if path == "/fail" else (200, name)
        forwarded = {
            key: value for key, value in headers.items() if key.lower() in FORWARDED[self.environment["FORWARD"]]
        }
        request = urllib.request.Request(following + path, headers=forwarded)
        try:
            with OPENER.open(request, timeout=60) as response:
                return 200, f"{name} > {response.read().decode()}"
        except urllib.error.HTTPError as error:
            error.close()
            return 502, f"{name} > error {error.code}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, text = service.answer(self.path, dict(self.headers.items()))
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler


@contextmanager
def stand_ins() -> Iterator[Mapping[str, StandIn]]:
    """The three services of the recordings, by name."""
    services = {name: StandIn() for name in ("frontend", "backend", "database")}
    try:
        yield services
    finally:
        for service in services.values():
            service.close()
