"""Keeps web pages out.

A page in the user's browser can send requests to any port of this machine. Two checks on every request stop it: a Host
header that names another site (DNS rebinding) and a write that comes from another origin. No CORS header is ever sent,
so a page cannot read an answer either.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware; `allowed_hosts` are further names that the Host header may hold, without a port."""

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] = ()) -> None:
        self.app = app
        self.allowed = _LOOPBACK_NAMES | {_normal(host) for host in allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self.refusal(scope["method"], scope["headers"])
            if refusal:
                await PlainTextResponse(refusal + "\n", status_code=403)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def refusal(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Why the request is refused, or nothing."""
        host = origin = site = ""
        hosts = 0
        for name, value in headers:
            if name == b"host":
                host = value.decode("latin-1").strip().lower()
                hosts += 1
            elif name == b"origin":
                origin = value.decode("latin-1").strip().lower()
            elif name == b"sec-fetch-site":
                site = value.decode("latin-1").strip().lower()
        if hosts != 1 or _without_port(host) not in self.allowed:
            shown = host[:100] if hosts == 1 else f"({hosts} of them)"
            return f"Host header {shown!r} is not served here: use 127.0.0.1 or localhost, or start with --allow-host"
        if method in _SAFE_METHODS:
            return ""
        if site not in ("", "same-origin", "none"):
            return "a web page of another site may not write here"
        if origin and not _same_origin(origin, host):
            return f"origin {origin[:100]!r} may not write here"
        return ""


def _normal(host: str) -> str:
    host = host.strip().lower()
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and not (host.startswith("[") and host.endswith("]")):
        return name
    return host


def _same_origin(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc == host
