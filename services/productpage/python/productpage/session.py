"""Who is signed in: a name in a signed cookie. No password, as in the original: it shows routing by user, not security.

The cookie is a session cookie, out of reach of scripts, and not sent along with requests of other sites but for links.
"""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlsplit

from flask import Flask, request, session

from meshtrail_common.errors import ServiceError

COOKIE = "session"
LONGEST_NAME = 64
HOME = "/productpage"

# A path of this site: printable ASCII, and not what a browser takes for another host (//host, /\host).
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def configure(app: Flask, secret: str) -> None:
    """Sign with `secret`; when it is empty, with one that no other process knows."""
    app.secret_key = secret or secrets.token_bytes(32)
    app.config.update(SESSION_COOKIE_NAME=COOKIE, SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")


def user() -> str:
    """Return the name of who is signed in, empty when nobody is."""
    name = session.get("user")
    return name if isinstance(name, str) else ""


def sign_in(name: str) -> None:
    """Remember a name; ServiceError 400 for one that cannot travel in a header."""
    given, name = name, name.strip()
    if not (name and len(given) <= LONGEST_NAME and name.isprintable()):
        raise ServiceError(400, f"username has to be 1 to {LONGEST_NAME} printable characters")
    session["user"] = name


def sign_out() -> None:
    session.pop("user", None)


def came_from() -> str:
    """Return path and query of the page that the request came from, always on this site; HOME when it is unknown."""
    try:
        parts = urlsplit(request.referrer or "")
    except ValueError:
        return HOME
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    if parts.path in ("/login", "/logout") or not _LOCAL.fullmatch(path):
        return HOME
    return path
