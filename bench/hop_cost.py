"""What a sidecar, tracing and the otel form cost a request: `python -m bench hop`.

Five meshes run side by side; rounds of sequential requests go to each in turn, so that a ratio compares what happened
at the same time on the same machine.
"""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.mesh import latencies, mesh

ROUNDS = 8
REQUESTS = 60
HOPS = 3  # frontend, backend, database: each has one sidecar

NO_SIDECAR = """\
apiVersion: v1
kind: Namespace
metadata: {name: meshtrail}
"""
NO_TRACING = """\
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: mesh-default, namespace: istio-system}
spec:
  tracing:
    - providers: [{name: jaeger}]
      disableSpanReporting: true
"""
VARIANTS: dict[str, tuple[list[str], dict[str, str]]] = {
    "plain, no sidecars": ([], {"ns.yaml": NO_SIDECAR, "t.yaml": NO_TRACING}),
    "plain, sidecars, no tracing": ([], {"t.yaml": NO_TRACING}),
    "plain, sidecars, traced": ([], {}),
    "otel, sidecars, no mesh tracing": (["--form", "otel"], {"t.yaml": NO_TRACING}),
    "otel, sidecars, traced": (["--form", "otel"], {}),
}
PAIRS = [
    ("a sidecar a hop", "plain, sidecars, no tracing", "plain, no sidecars"),
    ("tracing in the mesh", "plain, sidecars, traced", "plain, sidecars, no tracing"),
    ("the otel form over plain", "otel, sidecars, traced", "plain, sidecars, traced"),
]


def main() -> None:
    medians: dict[str, list[float]] = {name: [] for name in VARIANTS}
    tails: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        running = {
            name: stack.enter_context(mesh(f"v{i}", *options, manifests=files, folder=Path(folder)))
            for i, (name, (options, files)) in enumerate(VARIANTS.items())
        }
        for each in running.values():
            latencies(each.gateway, REQUESTS)  # warm
        for _ in range(ROUNDS):
            for name, each in running.items():
                values = latencies(each.gateway, REQUESTS)
                medians[name].append(statistics.median(values))
                tails[name].append(statistics.quantiles(values, n=100)[98])

    console = Console(width=None if Console().is_terminal else 100)
    table = Table(title=f"Latency of GET / through the gateway ({ROUNDS} rounds of {REQUESTS} requests, one at a time)")
    for column in ("variant", "p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name in VARIANTS:
        table.add_row(name, f"{statistics.median(medians[name]):.2f}", f"{statistics.median(tails[name]):.2f}")
    console.print(table)

    table = Table(title="What it costs (ratios round by round)")
    for column in ("cost of", "ratio p50", "min", "max", "ms a hop"):
        table.add_column(column, justify="left" if column == "cost of" else "right")
    for label, with_, without in PAIRS:
        ratios = [a / b for a, b in zip(medians[with_], medians[without], strict=True)]
        hop = statistics.median(a - b for a, b in zip(medians[with_], medians[without], strict=True)) / HOPS
        table.add_row(
            label, f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}", f"{hop:.2f}"
        )
    console.print(table)


if __name__ == "__main__":
    main()
