"""What sidecar, tracing and the otel form cost on a cluster: `python -m bench cluster-cost`.

Four applications side by side behind one ingress gateway; rounds of sequential requests go to each in turn, so that a
ratio compares what happened at the same time on the same machine. The gateway, traced at 100 %, is a part of each.
"""

from __future__ import annotations

import http.client
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from bench.cluster import Object, deployed, gateway_url, kubectl, sidecar_memory_mb
from bench.mesh import latencies

ROUNDS = 8
REQUESTS = 60
HOPS = 3  # frontend, backend, database: each has one sidecar
METRICS_WITHIN_S = 90.0

DEV = "k8s/overlays/dev/workloads"
OTEL = "k8s/overlays/dev-otel/workloads"


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    namespace: str
    workloads: str
    sidecars: bool
    traced: bool
    medians: list[float] = field(default_factory=list)
    tails: list[float] = field(default_factory=list)


BARE = Variant("plain, no sidecars", "bench-bare", DEV, sidecars=False, traced=False)
UNTRACED = Variant("plain, sidecars, no tracing", "bench-untraced", DEV, sidecars=True, traced=False)
TRACED = Variant("plain, sidecars, traced", "bench-traced", DEV, sidecars=True, traced=True)
HYBRID = Variant("otel, sidecars, traced", "bench-otel", OTEL, sidecars=True, traced=True)
VARIANTS = (BARE, UNTRACED, TRACED, HYBRID)
PAIRS = [
    ("a sidecar a hop", UNTRACED, BARE),
    ("tracing in the mesh", TRACED, UNTRACED),
    ("sidecar and tracing", TRACED, BARE),
    ("the otel form over plain", HYBRID, TRACED),
]


def main() -> None:
    kubectl("apply", "-k", "istio/mesh")
    with ExitStack() as stack:
        hosts = {
            one.name: stack.enter_context(
                deployed(
                    one.namespace, one.workloads, injection=one.sidecars, extra=[] if one.traced else no_spans(one)
                )
            )
            for one in VARIANTS
        }
        url = gateway_url(TRACED.namespace)
        for one in VARIANTS:
            wait_for(url, hosts[one.name])
            latencies(url, REQUESTS, host=hosts[one.name])  # warm
        for _ in range(ROUNDS):
            for one in VARIANTS:
                values = latencies(url, REQUESTS, host=hosts[one.name])
                one.medians.append(statistics.median(values))
                one.tails.append(statistics.quantiles(values, n=100)[98])
        memory = {one.name: sidecars(one) for one in VARIANTS if one.sidecars}
    show(memory)


def no_spans(one: Variant) -> list[Object]:
    spec = {"tracing": [{"providers": [{"name": "jaeger"}], "disableSpanReporting": True}]}
    meta = {"name": "no-spans", "namespace": one.namespace}
    return [{"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": meta, "spec": spec}]


def wait_for(url: str, host: str) -> None:
    """istiod tells the gateway about new routes a moment after the pods are ready."""
    deadline = time.monotonic() + 60
    while status(url, host) != 200:
        if time.monotonic() > deadline:
            raise SystemExit(f"{host} does not answer at {url}")
        time.sleep(0.5)


def status(url: str, host: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


def sidecars(one: Variant) -> list[float]:
    """Memory of the three sidecars; the metrics server looks every 15 s or so."""
    deadline = time.monotonic() + METRICS_WITHIN_S
    while len(found := sidecar_memory_mb(one.namespace)) < HOPS and time.monotonic() < deadline:
        time.sleep(2)
    return found


def show(memory: dict[str, list[float]]) -> None:
    console = Console(width=None if Console().is_terminal else 100)
    table = Table(title=f"GET / through the ingress gateway ({ROUNDS} rounds of {REQUESTS} requests, one at a time)")
    for column in ("variant", "p50 ms", "p99 ms", "MB a sidecar"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for one in VARIANTS:
        figures = memory.get(one.name)
        table.add_row(
            one.name,
            f"{statistics.median(one.medians):.2f}",
            f"{statistics.median(one.tails):.2f}",
            f"{statistics.median(figures):.0f}" if figures else "-",
        )
    console.print(table)
    table = Table(title="What it costs (ratios round by round)")
    for column in ("cost of", "ratio p50", "min", "max", "ms a hop"):
        table.add_column(column, justify="left" if column == "cost of" else "right")
    for label, with_, without in PAIRS:
        pairs = list(zip(with_.medians, without.medians, strict=True))
        ratios = [a / b for a, b in pairs]
        hop = statistics.median(a - b for a, b in pairs) / HOPS
        table.add_row(
            label, f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}", f"{hop:.2f}"
        )
    console.print(table)


if __name__ == "__main__":
    main()
