"""How fast the trace store answers when it is full: `python bench/store_query.py [--traces N]`.

Fills a store with traces of 4 spans as Envoy makes them, then asks one client's questions one after the other. The peer
is /healthz, an answer of the same server that looks nothing up: the ratio is what the question itself costs.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.store_ingest import STORE, receiver, requests

_BATCH = 512
_PER_TRACE = 4
TARGET_MS = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200, help="of each kind")
    options = parser.parse_args()
    room = ["--max-traces", str(options.traces), "--max-spans", str(options.traces * _PER_TRACE)]
    with (
        receiver("store", [*STORE, *room, "--max-memory", "2000000000"]) as store,
        httpx.Client(base_url=store.query, timeout=30) as client,
    ):
        begin = time.perf_counter()
        filled = _fill(store.http, options.traces)
        took = time.perf_counter() - begin
        table = Table(title=f"Questions to a store of {len(filled):,} traces")
        for column in ("question", "median ms", "p99 ms", "target ms", "of nothing"):
            table.add_column(column, justify="left" if column == "question" else "right")
        chosen = random.Random(1).choices(filled, k=options.questions)
        start, end = "2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z"
        search = "service=frontend.default"
        slow = max(5, options.questions // 20)
        cases = [
            ("nothing (/healthz)", ["/healthz"] * options.questions, ""),
            ("trace by id", [f"/api/traces/{trace_id}" for trace_id in chosen], f"{TARGET_MS:g}"),
            ("trace by id, v3", [f"/api/v3/traces/{trace_id}" for trace_id in chosen], f"{TARGET_MS:g}"),
            ("unknown trace", ["/api/traces/dead"] * options.questions, ""),
            ("services", ["/api/services"] * options.questions, ""),
            ("search, 20 traces", [f"/api/traces?{search}&limit=20"] * slow, ""),
            (
                "summaries, 20 traces",
                [
                    "/api/v3/trace-summaries?query.serviceName=frontend.default&query.numTraces=20"
                    f"&query.startTimeMin={start}&query.startTimeMax={end}"
                ]
                * slow,
                "",
            ),
            ("search, nothing found", ["/api/traces?service=none"] * slow, ""),
        ]
        nothing = 0.0
        for name, paths, target in cases:
            times = sorted(_ask(client, path) for path in paths)
            median, late = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
            nothing = nothing or median
            table.add_row(name, f"{median:.2f}", f"{late:.2f}", target, f"{median / nothing:.1f}")
        console = Console(width=None if Console().is_terminal else 100)
        console.print(table)
        console.print(
            f"{len(filled):,} traces of {_PER_TRACE} spans, filled in {took:.0f} s, RSS {store.rss_mib():.0f} MiB"
        )


def _fill(otlp_http: str, traces: int) -> list[str]:
    """Ids of the traces sent."""
    ids: list[str] = []
    headers = {"content-type": "application/x-protobuf"}
    with httpx.Client(base_url=otlp_http, timeout=30, headers=headers) as client:
        for number, body in enumerate(requests(_BATCH), 1):
            client.post(
                "/v1/traces", content=body, headers={"content-type": "application/x-protobuf"}
            ).raise_for_status()
            ids += [(number.to_bytes(4) + at.to_bytes(12)).hex() for at in range(_BATCH // _PER_TRACE)]
            if len(ids) >= traces:
                break
    return ids[-traces:]


def _ask(client: httpx.Client, path: str) -> float:
    begin = time.perf_counter()
    client.get(path)
    return (time.perf_counter() - begin) * 1000


if __name__ == "__main__":
    main()
