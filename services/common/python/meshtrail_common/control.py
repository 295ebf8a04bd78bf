"""The control port: `GET` and `PUT /propagation` with `{"mode": "none"}`, on a port of its own.

It is never routed through the sidecar. Web pages must not reach it: a foreign Host header (DNS rebinding) or an Origin
of another site is refused, and the JSON content type keeps plain HTML forms out.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any

from meshtrail_common.propagation import MODES, Switch

BODY_LIMIT = 1024  # bytes
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_ALLOWED = ", ".join(MODES)
_log = logging.getLogger("control")


class RefusedError(Exception):
    """An answer other than 200: `status` and the text of `{"error": ...}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def requested_mode(body: bytes) -> str:
    """Return the mode that a body asks for; RefusedError 400 names the allowed values."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(
            400, 'the body is not JSON, expected {"mode": "<mode>"} with mode one of ' + _ALLOWED
        ) from None
    mode = content.get("mode") if isinstance(content, dict) else None
    if not isinstance(mode, str) or mode not in MODES or len(content) != 1:
        raise RefusedError(400, 'expected {"mode": "<mode>"} with mode one of ' + _ALLOWED)
    return mode


class ControlServer(ThreadingMixIn, HTTPServer):
    """Serves the switch from a daemon thread on a socket that already listens."""

    daemon_threads = True

    def __init__(self, sock: socket.socket, switch: Switch, allowed_hosts: Iterable[str] = ()) -> None:
        super().__init__(sock.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock
        self.switch = switch
        self.allowed_hosts = LOCAL_NAMES | {host.lower() for host in allowed_hosts}

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 60}, name="control", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("control connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: ControlServer
    timeout = 5  # seconds that a client may take for its request
    server_version = "meshtrail-control"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer()

    do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

    def _answer(self) -> None:
        try:
            self._check_caller()
            if self.path.partition("?")[0] != "/propagation":
                raise RefusedError(404, "not found, the control port knows /propagation")
            if self.command == "PUT":
                self.server.switch.mode = requested_mode(self._body())
                _log.info("propagation is now %s", self.server.switch.mode)
            elif self.command != "GET":
                raise RefusedError(405, "method not allowed, use GET or PUT")
            self._send(200, {"mode": self.server.switch.mode})
        except RefusedError as refusal:
            self._send(refusal.status, {"error": refusal.message})

    def _check_caller(self) -> None:
        authority = self.headers.get("host", "").lower()
        host = authority[: authority.rfind("]") + 1] if authority.startswith("[") else authority.partition(":")[0]
        if host not in self.server.allowed_hosts:
            raise RefusedError(403, "this Host is not allowed, CONTROL_ALLOWED_HOSTS adds names")
        origin = self.headers.get("origin")
        if origin is not None and origin.lower() != f"http://{authority}":
            raise RefusedError(403, "requests from another origin are not allowed")

    def _body(self) -> bytes:
        if self.headers.get_content_type() != "application/json" or "content-type" not in self.headers:
            raise RefusedError(
                415, 'send Content-Type: application/json with {"mode": "<mode>"}, mode one of ' + _ALLOWED
            )
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            raise RefusedError(400, "a Content-Length is needed")
        if len(length) > 9 or int(length) > BODY_LIMIT:
            raise RefusedError(
                413, f'the body is larger than {BODY_LIMIT} bytes, {{"mode": ...}} takes one of {_ALLOWED}'
            )
        return self.rfile.read(int(length))

    def _send(self, status: int, content: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status == 405:
            self.send_header("Allow", "GET, PUT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what http.server itself refuses, an unknown method or a broken request line, in JSON too."""
        self.close_connection = True
        self._send(code, {"error": (message or HTTPStatus(code).phrase).lower()})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing per request; a change of mode is logged where it happens."""
