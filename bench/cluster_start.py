"""From `skaffold run` to the first trace: `python -m bench cluster-start`.

Three runs, images built and in the node beforehand; each starts without the namespace and ends when Jaeger has the
complete trace of a request.
"""

from __future__ import annotations

import secrets
import statistics
import subprocess
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from bench.cluster import ROOT, kubectl
from meshtrail.cluster.session import Where, opened
from meshtrail.reading.jaeger import JaegerClient

RUNS = 3
SPANS = 7
WITHIN_S = 90.0


def main() -> None:
    skaffold("build")
    rows = []
    try:
        for _ in range(RUNS):
            skaffold("delete")
            kubectl("delete", "namespace", "meshtrail", "--ignore-not-found")
            begin = time.perf_counter()
            skaffold("run")
            deployed = time.perf_counter() - begin
            wait_for_trace()
            rows.append((deployed, time.perf_counter() - begin))
    finally:
        skaffold("delete")
        kubectl("apply", "-k", "istio/mesh")
    table = Table(title=f"From `skaffold run` to the first complete trace, images built ({RUNS} runs)")
    for column in ("seconds until", "min", "median", "max"):
        table.add_column(column, justify="left" if column == "seconds until" else "right")
    for label, values in zip(("deployed and ready", "first complete trace"), zip(*rows, strict=True), strict=True):
        table.add_row(label, f"{min(values):.1f}", f"{statistics.median(values):.1f}", f"{max(values):.1f}")
    Console(width=None if Console().is_terminal else 100).print(table)


def skaffold(command: str) -> None:
    done = subprocess.run(["skaffold", command], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise SystemExit(f"skaffold {command}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")


def wait_for_trace() -> None:
    """Ask until a request's trace is complete in Jaeger."""
    deadline = time.monotonic() + WITHIN_S
    with opened(Where()) as session:
        gateway, jaeger = session.gateway(), session.jaeger()
        with JaegerClient(jaeger.url) as client:
            while time.monotonic() < deadline:
                mark = f"bench/{secrets.token_hex(8)}"
                connection = HTTPConnection(urlsplit(gateway.reached.url).netloc, timeout=15)
                connection.request("GET", "/", headers={"User-Agent": mark})
                connection.getresponse().read()
                connection.close()
                patience = time.monotonic() + 6
                while time.monotonic() < patience:
                    found = client.find("istio-ingressgateway.istio-system", tags={"user_agent": mark})
                    if found and found[0].complete and len(found[0].spans) == SPANS:
                        return
                    time.sleep(0.1)
    raise SystemExit(f"no complete trace within {WITHIN_S:g} s")


if __name__ == "__main__":
    main()
