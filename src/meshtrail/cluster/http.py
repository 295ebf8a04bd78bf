"""One small HTTP request, past the proxies of the environment: they do not lead to a cluster's own addresses."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_BODY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """`server` is the Server header in lower case, `date` the Date header."""

    status: int
    server: str
    date: str
    body: bytes


def ask(
    url: str, *, method: str = "GET", host: str = "", body: bytes | None = None, within: float = 2.0
) -> Answer | None:
    """The answer to one request; None when there is none within `within` seconds, or it is no HTTP."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=within)
    headers = {"Connection": "close", **({"Host": host} if host else {})}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, parts.path or "/", body=body, headers=headers)
        answer = connection.getresponse()
        server, date = answer.getheader("server") or "", answer.getheader("date") or ""
        return Answer(answer.status, server.lower(), date, answer.read(MAX_BODY))
    except (OSError, http.client.HTTPException, UnicodeError):
        return None
    finally:
        connection.close()
