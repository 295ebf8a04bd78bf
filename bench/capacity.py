"""What the mesh carries on this machine, and who uses the processor for it: `python -m bench capacity`."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.mesh import MESHTRAIL, Mesh, cpu_seconds, latencies, mesh

REQUESTS = 4000
CONCURRENCY = 8
FORMS = ("plain", "otel")


def main() -> None:
    spent: dict[str, dict[str, float]] = {}
    reports: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            with mesh(form, "--form", form, folder=Path(folder)) as running:
                latencies(running.gateway, 100)  # warm
                before = {name: cpu_seconds(pid) for name, pid in running.pids().items()}
                reports[form] = load(running)
                after = {name: cpu_seconds(pid) for name, pid in running.pids().items()}
                spent[form] = {name: (after[name] - before[name]) / REQUESTS * 1e3 for name in after}

    console = Console(width=None if Console().is_terminal else 100)
    table = Table(
        title=f"{REQUESTS} requests as fast as answers come, {CONCURRENCY} at a time, load generator included"
    )
    for column in ("form", "requests/s", "p50 ms", "p99 ms", "errors"):
        table.add_column(column, justify="left" if column == "form" else "right")
    for form in FORMS:
        report = reports[form]
        table.add_row(form, f"{report['achieved_rate']:.0f}", f"{report['latency_ms']['p50']:.1f}",
                      f"{report['latency_ms']['p99']:.1f}", str(report["failed"]))  # fmt: skip
    ratio = reports["otel"]["achieved_rate"] / reports["plain"]["achieved_rate"]
    table.add_row("otel / plain", f"{ratio:.2f}", "", "", "")
    console.print(table)

    table = Table(title="Processor time of one request, ms")
    for column in ("process", *FORMS, "otel / plain"):
        table.add_column(column, justify="left" if column == "process" else "right")
    totals = [sum(spent[form].values()) for form in FORMS]
    for name in sorted(spent["plain"], key=lambda name: -spent["plain"][name]):
        plain, otel = (spent[form][name] for form in FORMS)
        table.add_row(name, f"{plain:.2f}", f"{otel:.2f}", f"{otel / plain:.1f}" if plain else "")
    table.add_row("all", f"{totals[0]:.2f}", f"{totals[1]:.2f}", f"{totals[1] / totals[0]:.1f}")
    console.print(table)


def load(running: Mesh) -> dict[str, Any]:
    done = subprocess.run(
        [*MESHTRAIL, "load", "--rate", "max", "--concurrency", str(CONCURRENCY), "--count", str(REQUESTS),
         "--json", "--name", running.name],
        check=True, capture_output=True,
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    return report


if __name__ == "__main__":
    main()
