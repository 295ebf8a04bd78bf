"""What `skaffold verify` runs in the cluster: requests through the gateway, and their complete trace in Jaeger.

Standard library only, so that any Python image runs it. From outside of a cluster, `meshtrail verify` does the same.
Environment: GATEWAY_URL; GATEWAY_SERVICE, the gateway's name in traces; JAEGER_URL, with its base path; SERVICES,
which the trace must touch, comma between them; SPANS, how many it has; REQUESTS, how many to send (default 20: with
sampling below 100 % one of them must be sampled, and where versions alternate one of them must touch all services);
REQUEST_PATH, what to ask for (default /).
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

READY_WITHIN = 60.0
TRACE_WITHIN = 15.0  # sidecars may keep their spans for 5 s
WITHIN = 75.0
RATE = 50.0

Span = dict[str, Any]


def main() -> int:
    gateway = os.environ["GATEWAY_URL"].rstrip("/")
    page = gateway + os.environ.get("REQUEST_PATH", "/")
    if not answers(page):
        return failed(f"{page} did not answer 200 within {READY_WITHIN:g} s")
    deadline = time.monotonic() + WITHIN
    while True:
        # A mark of our own: other traffic does not matter.
        url = f"{page}?verify={secrets.token_hex(8)}"
        count = int(os.environ.get("REQUESTS", "20"))
        for number in range(count):
            status = get(url)[0]
            if status != 200:
                return failed(f"request {number + 1} of {count} to {gateway} was answered {status or 'not at all'}")
            time.sleep(1 / RATE)
        print(f"{count} requests to {gateway}, all answered 200", flush=True)
        problems = wait_for_trace(url)
        if not problems:
            return 0
        # Connections that were open when tracing was changed keep their old settings for up to 45 s: ask again.
        if time.monotonic() > deadline:
            return failed("; ".join(problems))


def wait_for_trace(url: str) -> list[str]:
    """Nothing once one of the requests is a complete trace; what is missing when the time is up."""
    deadline = time.monotonic() + TRACE_WITHIN
    problems = ["no trace of these requests arrived: is the sampling high enough for their number?"]
    while time.monotonic() < deadline:
        for spans in traces(os.environ["JAEGER_URL"].rstrip("/"), url):
            problems = problems_of(spans)
            if not problems:
                print(f"one complete trace in Jaeger: {len(spans)} spans of {', '.join(services(spans))}")
                return []
        time.sleep(0.5)
    return problems


def answers(url: str) -> bool:
    """Routes reach the gateway a moment after the pods are ready."""
    deadline = time.monotonic() + READY_WITHIN
    while get(url)[0] != 200:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def get(url: str) -> tuple[int, bytes]:
    """Status (0 without an answer) and body."""
    try:
        with urllib.request.urlopen(url, timeout=15) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except OSError:
        return 0, b""


def traces(jaeger: str, url: str) -> list[list[Span]]:
    """The spans of each trace that the requests to `url` made, each with the name of its service."""
    query = {"service": os.environ["GATEWAY_SERVICE"], "tags": json.dumps({"http.url": url}), "lookback": "1h"}
    status, body = get(f"{jaeger}/api/traces?{urllib.parse.urlencode(query)}")
    if status != 200:
        return []
    return [
        [{**span, "service": trace["processes"][span["processID"]]["serviceName"]} for span in trace["spans"]]
        for trace in json.loads(body)["data"]
    ]


def services(spans: list[Span]) -> list[str]:
    return list(dict.fromkeys(span["service"] for span in sorted(spans, key=lambda span: span["startTime"])))


def problems_of(spans: list[Span]) -> list[str]:
    """What a complete trace has and this one has not."""
    problems = []
    known = {span["spanID"] for span in spans}
    parents = [[ref["spanID"] for ref in span["references"] if ref["refType"] == "CHILD_OF"] for span in spans]
    roots = sum(not parent for parent in parents)
    phantoms = sum(any(one not in known for one in parent) for parent in parents)
    if roots != 1 or phantoms:
        problems.append(f"the trace has {roots} roots and {phantoms} spans whose parent is missing")
    missing = [name for name in os.environ["SERVICES"].split(",") if name not in services(spans)]
    if missing:
        problems.append(f"the trace ends before {', '.join(missing)}: who dropped the headers?")
    # Spans of one trace arrive one after the other: without a leaf (a query) nothing else betrays that one is missing.
    expected = int(os.environ["SPANS"])
    if len(spans) != expected:
        problems.append(f"the trace has {len(spans)} spans, {expected} are a complete one")
    return problems


def failed(reason: str) -> int:
    print(f"not verified: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
