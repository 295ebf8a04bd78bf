"""10,000 requests at the rate the machine carries: every trace complete, none lost, the store bounded."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import pytest
from tests.e2e.shapes import GATEWAY
from tests.support.mesh import running_mesh

from meshtrail.load.plan import plan
from meshtrail.load.run import run_load
from meshtrail.load.target import resolve
from meshtrail.local.state import RunningMesh

REQUESTS = 10_000


@pytest.mark.soak
@pytest.mark.timeout(280)
def test_ten_thousand_requests_give_ten_thousand_complete_traces() -> None:
    with running_mesh() as mesh:
        begin = time.time()
        before = store_rss(mesh)
        report = asyncio.run(run_load(resolve(mesh.gateway + "/"), plan(rate=None, count=REQUESTS, concurrency=8)))
        assert (report.answered, dict(report.errors)) == (REQUESTS, {})
        deadline = time.monotonic() + 15
        summaries: list[dict[str, object]] = []
        while time.monotonic() < deadline and len(summaries) < REQUESTS:
            summaries = [s for s in summaries_of(mesh, begin) if s["spanCount"] == 7]
        assert len(summaries) == REQUESTS
        assert {summary.get("orphanSpanCount", 0) for summary in summaries} == {0}
        # 70,000 spans at no more than 4 KB each, indexes included.
        assert store_rss(mesh) - before < 280e6


def summaries_of(mesh: RunningMesh, begin: float) -> list[dict[str, object]]:
    answer = httpx.get(
        f"{mesh.jaeger}/api/v3/trace-summaries",
        params={
            "query.serviceName": GATEWAY,
            "query.startTimeMin": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin - 1)),
            "query.startTimeMax": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin + 3600)),
            "query.searchDepth": str(REQUESTS),
        },
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["summaries"]
    return found


def store_rss(mesh: RunningMesh) -> float:
    """Bytes; from the kernel's accounting."""
    pid = next(process.pid for process in mesh.processes if process.kind == "store")
    status = Path(f"/proc/{pid}/status").read_text()
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) * 1024
