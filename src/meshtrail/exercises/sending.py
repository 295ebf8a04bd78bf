"""Requests of a check's own, each with a mark by which its traces are found."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

PRODUCT = "meshtrail-exercise"
MAX_COUNT = 1000
MAX_PARALLEL = 32
TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`mark` is the user agent of the request. `status` 0: there was no answer, `error` says why. Milliseconds."""

    mark: str
    status: int
    body: str
    headers: Mapping[str, str]
    duration_ms: float
    error: str = ""


def send(url: str, *, host: str, count: int, headers: Mapping[str, str], parallel: int) -> list[Answer]:
    """GET `url` `count` times, at most `parallel` at a time, in order. Raises ValueError beyond the bounds."""
    if not 0 < count <= MAX_COUNT or not 0 < parallel <= MAX_PARALLEL:
        raise ValueError(f"1 to {MAX_COUNT} requests, at most {MAX_PARALLEL} at a time")
    limits = httpx.Limits(max_connections=parallel)
    # Through no proxy of the environment: it does not lead to a cluster's own addresses.
    with httpx.Client(trust_env=False, timeout=TIMEOUT_S, limits=limits) as client:

        def one(_: int) -> Answer:
            return _send(client, url, {**({"host": host} if host else {}), **headers})

        if parallel == 1:
            return [one(number) for number in range(count)]
        with ThreadPoolExecutor(max_workers=parallel) as pool:
            return list(pool.map(one, range(count)))


def _send(client: httpx.Client, url: str, headers: Mapping[str, str]) -> Answer:
    mark = f"{PRODUCT}/{secrets.token_hex(8)}"
    started = time.monotonic()
    try:
        answer = client.get(url, headers={**headers, "user-agent": mark})
    except httpx.HTTPError as error:
        return Answer(mark, 0, "", {}, (time.monotonic() - started) * 1000, str(error) or type(error).__name__)
    took = (time.monotonic() - started) * 1000
    return Answer(mark, answer.status_code, answer.text, dict(answer.headers), took)
