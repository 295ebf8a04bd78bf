from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from tests.load.server import Server, serve

from meshtrail.load.plan import plan
from meshtrail.load.report import LoadReport
from meshtrail.load.run import run_load
from meshtrail.load.target import resolve


async def load(server: Server, path: str, *, headers: tuple[tuple[str, str], ...] = (), **bounds: Any) -> LoadReport:
    return await run_load(resolve(server.url, path=path), plan(**bounds), headers=headers)


async def test_every_request_is_counted_once_over_few_connections() -> None:
    async with serve() as server:
        report = await load(server, "/", rate=None, count=200, concurrency=3)
    assert (report.sent, report.answered, report.failed) == (200, 200, 0)
    assert report.statuses == {200: 200}
    assert report.ok
    assert len(server.requests) == 200
    assert server.connections == report.connections <= 3


@pytest.mark.parametrize("path", ["/chunked", "/early-hints", "/until-close", "/connection-close"])
async def test_each_way_to_end_an_answer_is_understood(path: str) -> None:
    async with serve() as server:
        report = await load(server, path, rate=None, count=4, concurrency=1)
    assert report.statuses == {200: 4}
    assert report.ok


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/503", "HTTP 503"),
        ("/truncated", "connection closed"),
        ("/nothing", "connection closed"),
        ("/garbage", "malformed answer"),
        ("/never", "timed out"),
    ],
)
async def test_errors_are_counted_by_kind(path: str, kind: str) -> None:
    async with serve() as server:
        report = await load(server, path, rate=None, count=2, concurrency=2, timeout_s=0.2)
    assert report.errors == {kind: 2}
    assert report.sent == 2
    assert report.answered == (2 if path == "/503" else 0)
    assert not report.ok


async def test_a_refused_connection_is_counted() -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody else can take the port meanwhile.
        taken.bind(("127.0.0.1", 0))
        target = resolve(f"http://127.0.0.1:{taken.getsockname()[1]}")
        report = await run_load(target, plan(rate=None, count=3, concurrency=1))
    assert report.errors == {"connection refused": 3}
    assert report.percentile(50) is None
    assert report.as_json()["latency_ms"] == {"p50": None, "p90": None, "p99": None, "max": None}


async def test_a_connection_that_the_server_closed_while_idle_is_no_error() -> None:
    async with serve() as server:
        report = await load(server, "/close-quietly", rate=None, count=20, concurrency=1)
    assert report.ok
    assert report.statuses == {200: 20}
    assert len(server.requests) == 20


async def test_the_rate_is_kept_whatever_the_latency() -> None:
    async with serve() as server:
        began = time.monotonic()
        report = await load(server, "/slow", rate=100.0, count=50)
        took = time.monotonic() - began
    assert report.sent == 50
    # 49 gaps of 10 ms and one answer of 50 ms; one after the other it would be 2.5 s.
    assert 0.5 <= took < 2.0
    median = report.percentile(50)
    assert median is not None
    assert median >= 50


async def test_latency_counts_from_when_a_request_was_due() -> None:
    """One connection, 50 ms each, 100 due a second: the queue grows and the percentiles show it."""
    async with serve() as server:
        report = await load(server, "/slow", rate=100.0, count=10, concurrency=1)
    worst = report.percentile(100)
    assert worst is not None
    assert worst >= 400


async def test_the_duration_ends_it() -> None:
    async with serve() as server:
        report = await load(server, "/", rate=50.0, duration_s=0.4)
    assert 1 <= report.sent <= 20
    assert report.duration_s < 2
    assert not report.interrupted


async def test_stop_gives_what_was_done_so_far() -> None:
    stop = asyncio.Event()
    async with serve() as server:

        def progress(finished: int, failed: int) -> None:
            if finished == 5:
                stop.set()

        report = await run_load(resolve(server.url), plan(rate=200.0, duration_s=60), stop=stop, progress=progress)
    assert report.interrupted
    assert 5 <= report.sent < 100
    assert report.duration_s < 10


async def test_stop_does_not_wait_for_an_answer_that_never_comes() -> None:
    stop = asyncio.Event()
    async with serve() as server:
        running = asyncio.create_task(
            run_load(resolve(server.url, path="/never"), plan(rate=None, count=1, timeout_s=60), stop=stop)
        )
        async with asyncio.timeout(10):
            await server.arrived.wait()
            stop.set()
            report = await running
    assert report.interrupted
    assert (report.sent, report.failed) == (0, 0)


async def test_headers_are_sent_and_replace_the_usual_ones() -> None:
    async with serve() as server:
        await load(server, "/", count=1, headers=(("Host", "shop.example"), ("end-user", "jason")))
    (head,) = server.requests
    lines = head.lower().split("\r\n")
    assert lines[0] == "get / http/1.1"
    assert [line for line in lines if line.startswith("host:")] == ["host: shop.example"]
    assert "end-user: jason" in lines
