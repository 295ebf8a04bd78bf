"""Every implementation in both forms: start, memory, what a request costs: `python -m bench implementations`.

Bare processes, no sidecars, and an upstream that costs next to nothing: the figures are the service's own. The otel
form makes its spans and sends them nowhere. Processor time of a request says more than requests a second, in which the
load generator on the same machine has a share.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.service import ROOT, load, process, service
from meshtrail.errors import MeshtrailError
from meshtrail.local import toolchains

STARTS = 3
WARM = 200
REQUESTS = 1500
ROUNDS = 3
CONCURRENCY = 8

_DATABASE = {"message": "Data from database", "records": 42}
_BACKEND = {"message": "Backend response", "database_data": _DATABASE, "processed": 84}
_DETAILS = {
    "id": 0, "author": "William Shakespeare", "year": 1595, "type": "paperback", "pages": 200,
    "publisher": "PublisherA",
    "language": "English", "ISBN-10": "1234567890", "ISBN-13": "123-1234567890",
}  # fmt: skip
_RATINGS = {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked of a service; `upstreams` maps a variable's prefix to the answer of what plays that upstream."""

    path: str
    upstreams: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "frontend": Case("/", {"BACKEND_URL": _BACKEND}),
    "backend": Case("/api/data", {"DATABASE_SERVICE_URL": _DATABASE}),
    "database": Case("/query"),
    "productpage": Case("/api/v1/products/0", {"DETAILS": _DETAILS}),
    "details": Case("/details/0"),
    "reviews": Case("/reviews/0", {"RATINGS": _RATINGS}),
    "ratings": Case("/ratings/0"),
    "helloworld": Case("/"),
}


@dataclass(slots=True)
class Figures:
    start_s: list[float] = field(default_factory=list)
    memory_mb: float = 0.0
    cpu_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


def main() -> None:
    rows: dict[toolchains.Implementation, Figures] = {}
    for one in toolchains.implementations(ROOT):
        try:
            toolchains.command(ROOT, one.service, one.language, one.form)
        except MeshtrailError as error:
            print(f"{one.image}: left out: {error}", file=sys.stderr)
            continue
        rows[one] = Figures()
    for name, case in CASES.items():
        measure(case, {one: figures for one, figures in rows.items() if one.service == name})
    show(rows)


def measure(case: Case, rows: dict[toolchains.Implementation, Figures]) -> None:
    """All implementations of a service, side by side; rounds go to each in turn."""
    with ExitStack() as stack:
        environment = stack.enter_context(surroundings(case))
        for one, figures in rows.items():
            for _ in range(STARTS - 1):
                with service(one.service, one.language, one.form, environment) as started:
                    figures.start_s.append(started.start_seconds)
        running = {one: stack.enter_context(service(one.service, one.language, one.form, environment)) for one in rows}
        for one, started in running.items():
            rows[one].start_s.append(started.start_seconds)
            load(started.url + case.path, WARM, CONCURRENCY)
        for _ in range(ROUNDS):
            for one, started in running.items():
                before = started.cpu_seconds
                report = load(started.url + case.path, REQUESTS, CONCURRENCY)
                figures = rows[one]
                figures.cpu_ms.append((started.cpu_seconds - before) / REQUESTS * 1e3)
                figures.rate.append(report["achieved_rate"])
                figures.p50_ms.append(report["latency_ms"]["p50"])
                figures.p99_ms.append(report["latency_ms"]["p99"])
        for one, started in running.items():
            rows[one].memory_mb = started.memory_mb


@contextmanager
def surroundings(case: Case) -> Iterator[dict[str, str]]:
    """The environment that leads to upstreams which are running."""
    environment = {"ENABLE_RATINGS": "true"}
    with ExitStack() as stack:
        for variable, answer in case.upstreams.items():
            argv = [sys.executable, "-m", "bench.upstream", json.dumps(answer)]
            upstream = stack.enter_context(process(argv, {}, ready="/"))
            if variable.endswith("_URL"):
                environment[variable] = upstream.url
            else:
                environment |= {f"{variable}_HOSTNAME": "127.0.0.1", f"{variable}_SERVICE_PORT": str(upstream.port)}
        yield environment


def show(rows: dict[toolchains.Implementation, Figures]) -> None:
    console = Console(width=None if Console().is_terminal else 130)
    table = Table(
        title=f"Each alone, medians: {STARTS} starts; {ROUNDS} rounds of {REQUESTS} requests, {CONCURRENCY} at a time"
    )
    for column in ("service", "language", "form", "start s", "MB", "requests/s", "p50 ms", "p99 ms", "CPU ms a request",
                   "otel / plain"):  # fmt: skip
        table.add_column(column, justify="left" if column in ("service", "language", "form") else "right")
    middle = statistics.median
    for one, figures in rows.items():
        plain = rows.get(toolchains.Implementation(one.service, one.language, "plain"))
        ratio = ""
        if one.form == "otel" and plain:
            rounds = [ours / theirs for ours, theirs in zip(figures.cpu_ms, plain.cpu_ms, strict=True)]
            ratio = f"{middle(rounds):.2f} ({min(rounds):.2f} to {max(rounds):.2f})"
        table.add_row(one.service, one.language, one.form, f"{middle(figures.start_s):.2f}", f"{figures.memory_mb:.0f}",
                      f"{middle(figures.rate):.0f}", f"{middle(figures.p50_ms):.1f}", f"{middle(figures.p99_ms):.1f}",
                      f"{middle(figures.cpu_ms):.2f}", ratio)  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
