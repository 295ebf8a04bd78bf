"""How long a mesh takes to start and what it weighs: `python -m bench start`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.mesh import cpu_seconds, get_json, latencies, mesh, pss_mb, spread

ROUNDS = 5
SPANS = 7
TARGETS = {"gateway ready": 3.0, "first complete trace": 4.0, "memory": 350.0}


def main() -> None:
    ready, traced, weights = [], [], []
    parts: dict[str, list[float]] = {}
    work: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(ROUNDS + 1):
            begin = time.perf_counter()
            with mesh("start", folder=Path(folder)) as running:
                spent = {name: cpu_seconds(pid) for name, pid in running.pids().items()}
                latencies(running.gateway, 1)
                deadline = time.monotonic() + 20
                while not any(len(trace["spans"]) == SPANS for trace in traces(running.status["jaeger"])):
                    if time.monotonic() > deadline:
                        raise SystemExit("no complete trace within 20 s")
                    time.sleep(0.01)
                complete = time.perf_counter() - begin
                if round_ == 0:
                    continue  # fills the page cache: the figure is that of a warm start
                ready.append(running.ready_seconds)
                traced.append(complete)
                latencies(running.gateway, 200)
                now = {name: pss_mb(pid) for name, pid in running.pids().items()}
                weights.append(sum(now.values()))
                for name in now:
                    parts.setdefault(name, []).append(now[name])
                    work.setdefault(name, []).append(spent[name])

    table = Table(title=f"Start and memory of the three-tier mesh, plain form ({ROUNDS} runs)")
    for column in ("figure", "min", "median", "max", "target", "median / target"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    figures = [("gateway ready", ready, "s"), ("first complete trace", traced, "s"), ("memory", weights, "MB")]
    for name, values, unit in figures:
        low, middle, high = spread(values)
        table.add_row(name, f"{low:.2f} {unit}", f"{middle:.2f} {unit}", f"{high:.2f} {unit}",
                      f"{TARGETS[name]:g} {unit}", f"{middle / TARGETS[name]:.2f}")  # fmt: skip
    console = Console(width=None if Console().is_terminal else 100)
    console.print(table)

    table = Table(title="Where it goes: processor time until the gateway is ready, PSS after 200 requests")
    for column in ("process", "CPU s", "share", "MB", "share"):
        table.add_column(column, justify="left" if column == "process" else "right")
    total_cpu, total_mb = (sum(spread(values)[1] for values in kind.values()) for kind in (work, parts))
    for name in sorted(parts, key=lambda name: -spread(parts[name])[1]):
        cpu, megabytes = spread(work[name])[1], spread(parts[name])[1]
        table.add_row(name, f"{cpu:.2f}", f"{cpu / total_cpu:.0%}", f"{megabytes:.1f}", f"{megabytes / total_mb:.0%}")
    table.add_row("all", f"{total_cpu:.2f}", "", f"{total_mb:.1f}", "")
    console.print(table)


def traces(jaeger: str) -> list[dict[str, list[object]]]:
    found: list[dict[str, list[object]]] = get_json(f"{jaeger}/api/traces?service=frontend.meshtrail&limit=20")["data"]
    return found


if __name__ == "__main__":
    main()
