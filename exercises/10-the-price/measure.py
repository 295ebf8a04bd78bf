#!/usr/bin/env python3
"""Measure what runs now: the time of a request, and the memory of services and sidecars. Keeps it for the check.

exercises/10-the-price/measure.py [--count N]

Which form it is: no sidecar runs (bare); else a trace shows it, spans of sidecars alone (plain) or of applications
too (otel).
The figures are kept in the mesh itself, as ConfigMap price-<form>, which `meshtrail exercise reset` takes away.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

COUNT = 60
LIMIT = 1000
WARM = 10
SERVICES = ("frontend", "backend", "database")
CLUSTER = os.environ.get("MESHTRAIL_TARGET") == "cluster"
# A container's own figure, whichever version of cgroups the node has.
PLACES = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
CGROUP = f"import os; print(next(open(p).read() for p in {PLACES} if os.path.exists(p)))"


def run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def kubectl(*arguments: str) -> str:
    namespace = os.environ.get("MESHTRAIL_NAMESPACE", "meshtrail")
    context = ["--context", os.environ["MESHTRAIL_CONTEXT"]] if os.environ.get("MESHTRAIL_CONTEXT") else []
    return run("kubectl", *context, "-n", namespace, *arguments)


def settle() -> None:
    """On a cluster pods of before and after a change answer side by side for a while."""
    for name in SERVICES if CLUSTER else ():
        kubectl("rollout", "status", f"deployment/{name}", "--timeout=180s")


def latency(count: int) -> dict[str, float]:
    """Median and 99th percentile in ms, one request after the other."""
    call = ("meshtrail", "load", "--rate", "max", "--concurrency", "1", "--json", "--count")
    run(*call, str(WARM))
    found: dict[str, float] = json.loads(run(*call, str(count)))["latency_ms"]
    return found


def last() -> tuple[set[str], set[str]]:
    """Trace ids of the last request, and who made its spans. One that is not complete is drawn too: exit status 1."""
    asked = subprocess.run(["meshtrail", "trace", "--json"], capture_output=True, text=True, check=False)
    try:
        traces = [trace for one in json.loads(asked.stdout)["requests"] for trace in one["traces"]]
    except ValueError:
        traces = []
    return {trace["trace_id"] for trace in traces}, {span["made_by"] for trace in traces for span in trace["spans"]}


def form(before: set[str]) -> str:
    """With sidecars: by the spans of a request that is not one of `before`. On a cluster they arrive seconds late."""
    for _ in range(15):
        ids, makers = last()
        if ids and not ids & before:
            return "otel" if "application" in makers else "plain"
        time.sleep(1)
    sys.exit("no trace of the requests arrived, so there is no telling what was measured")


def memory() -> tuple[float, float]:
    """MB of the services and of their sidecars, summed up."""
    return _on_cluster() if CLUSTER else _on_this_machine()


def _on_this_machine() -> tuple[float, float]:
    processes: list[dict[str, Any]] = json.loads(run("meshtrail", "status", "--json"))["processes"]

    def total(kind: str) -> float:
        return sum(_process_mb(one["pid"]) for one in processes if one["kind"] == kind and one["pid"])

    return total("service"), total("sidecar")


def _process_mb(pid: int) -> float:
    """What the process has for itself and its share of what several have (PSS); where there is none, all it has."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    if rollup.exists():
        found = re.search(r"^Pss:\s+(\d+) kB", rollup.read_text(), re.MULTILINE)
        return int(found[1]) * 1024 / 1e6 if found else 0.0
    return int(run("ps", "-o", "rss=", "-p", str(pid))) * 1024 / 1e6


def _on_cluster() -> tuple[float, float]:
    """A service's by its cgroup; a sidecar's as Envoy itself says, since its image need not hold any program."""
    services, sidecars = [], []
    for name in SERVICES:
        pods = json.loads(kubectl("get", "pods", "-l", f"app={name}", "-o", "json"))["items"]
        for pod in pods:
            if pod["metadata"].get("deletionTimestamp"):
                continue
            inside = ("exec", pod["metadata"]["name"], "-c")
            services.append(int(kubectl(*inside, name, "--", "python3", "-c", CGROUP)) / 1e6)
            spec = pod["spec"]
            names = {one["name"] for one in (*spec["containers"], *spec.get("initContainers", ()))}
            if "istio-proxy" in names:
                said = kubectl(*inside, "istio-proxy", "--", "pilot-agent", "request", "GET", "memory")
                sidecars.append(int(json.loads(said)["total_physical_bytes"]) / 1e6)
    return sum(services), sum(sidecars)


def keep(name: str, figures: dict[str, str]) -> None:
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"price-{name}"}, "data": figures}
    run("meshtrail", "apply", "-f", "-", given=json.dumps(kept))


def line(words: Iterable[str]) -> None:
    sys.stdout.write("  ".join(f"{word:>12}" for word in words) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the mesh as it is now.")
    parser.add_argument("--count", type=int, default=COUNT, help=f"requests, one after the other, at most {LIMIT}")
    arguments = parser.parse_args()
    settle()
    before, _ = last()
    took = latency(max(1, min(arguments.count, LIMIT)))
    services, sidecars = memory()
    name = form(before) if sidecars else "bare"
    figures = {
        "p50_ms": f"{took['p50']:.1f}",
        "p99_ms": f"{took['p99']:.1f}",
        "services_mb": f"{services:.0f}",
        "sidecars_mb": f"{sidecars:.0f}",
    }
    keep(name, figures)
    line(("form", *figures))
    line((name, *figures.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
