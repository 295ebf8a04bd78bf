#!/usr/bin/env python3
"""Ask Bookinfo for its page, as somebody or as nobody; say how it went and which trace it is.

exercises/09-reading-trouble/visit.py [--user NAME] [--count N]
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

LIMIT = 50
TIMEOUT_S = 30


def gateway() -> tuple[str, str]:
    """The gateway's address and the host it wants to be asked for, from `meshtrail status`, on either target."""
    asked = subprocess.run(["meshtrail", "status", "--json"], capture_output=True, text=True, check=False)
    try:
        found = json.loads(asked.stdout)["gateway"]
    except (ValueError, KeyError):
        sys.exit(asked.stderr.strip() or "meshtrail status does not say where the gateway is")
    if isinstance(found, str):
        return found, ""
    if not found.get("url"):
        sys.exit(f"the gateway has no address of its own; type: {found.get('command') or found.get('problem')}")
    return found["url"], found.get("host") or ""


def request(url: str, method: str, path: str, headers: Mapping[str, str], body: str = "") -> tuple[int, str, str]:
    """Status, what it sets as cookie, and the answer's text."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body=body or None, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.getheader("set-cookie", "").partition(";")[0], answer.read().decode()
    finally:
        connection.close()


def seen(page: str) -> str:
    """What a reader of the page would tell: the stars' colour, or that something is missing."""
    colour = re.search(r"of 5 stars, (\w+)", page)
    if colour:
        return f"{colour[1]} stars"
    return "an apology" if "Sorry" in page else "no stars"


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask Bookinfo for its page.")
    parser.add_argument("--user", default="", help="sign in first; there is no password")
    parser.add_argument("--count", type=int, default=1, help=f"pages, one after the other, at most {LIMIT}")
    arguments = parser.parse_args()
    url, host = gateway()
    headers = {"host": host} if host else {}
    if arguments.user:
        form = headers | {"content-type": "application/x-www-form-urlencoded"}
        _, cookie, _ = request(url, "POST", "/login", form, urlencode({"username": arguments.user}))
        headers["cookie"] = cookie
    for _ in range(max(1, min(arguments.count, LIMIT))):
        started = time.monotonic()
        status, _, text = request(url, "GET", "/productpage", headers)
        seconds = time.monotonic() - started
        trace = re.search(r"meshtrail trace ([0-9a-f]{32})", text)
        name = f"meshtrail trace {trace[1]}" if trace else "no trace"
        sys.stdout.write(f"{status}  {seconds:5.2f} s  {seen(text):12} {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
