"""The page of Bookinfo with all its services on this machine: `python -m bench bookinfo`.

Bare processes, no sidecars, so that the figures are the services' own: /productpage as fast as answers come, processor
time of a page by service, memory of all six processes. A productpage of your own takes part in the same rounds, on the
same details and reviews, when PEER_PRODUCTPAGE holds its command (with {port} for the port to listen on):

    PEER_PRODUCTPAGE='gunicorn -b 127.0.0.1:{port} -w 8 -k gevent productpage:app' make bench ARGS=bookinfo
"""

from __future__ import annotations

import os
import shlex
import socket
import statistics
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bench.service import Service, load, process, service

WARM = 100
PAGES = 400
ROUNDS = 5
CONCURRENCY = 8
PEER = "PEER_PRODUCTPAGE"
BEHIND = ("details", "reviews", "ratings")


@dataclass(slots=True)
class Variant:
    """One productpage and what stands behind it; `others` are running but not asked (the other versions of reviews)."""

    page: Service
    behind: Mapping[str, Service]
    others: tuple[Service, ...] = ()
    rate: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    page_cpu_ms: list[float] = field(default_factory=list)
    behind_cpu_ms: list[float] = field(default_factory=list)

    @property
    def memory_mb(self) -> float:
        return sum(one.memory_mb for one in (self.page, *self.behind.values(), *self.others))


def main() -> None:
    with ExitStack() as stack:
        variants = {form: stack.enter_context(bookinfo(form)) for form in ("plain", "otel")}
        if command := os.environ.get(PEER):
            variants["peer"] = stack.enter_context(peer(command, variants["plain"].behind))
        for one in variants.values():
            load(one.page.url + "/productpage", WARM, CONCURRENCY)
        for _ in range(ROUNDS):
            for one in variants.values():
                measure(one)
        show(variants)


def measure(one: Variant) -> None:
    page, behind = one.page.cpu_seconds, sum(each.cpu_seconds for each in one.behind.values())
    report = load(one.page.url + "/productpage", PAGES, CONCURRENCY)
    one.page_cpu_ms.append((one.page.cpu_seconds - page) / PAGES * 1e3)
    one.behind_cpu_ms.append((sum(each.cpu_seconds for each in one.behind.values()) - behind) / PAGES * 1e3)
    one.rate.append(report["achieved_rate"])
    one.p50_ms.append(report["latency_ms"]["p50"])
    one.p99_ms.append(report["latency_ms"]["p99"])


@contextmanager
def bookinfo(form: str) -> Iterator[Variant]:
    """All of it in one form: reviews v3 is the one that is asked."""
    with ExitStack() as stack:

        def start(name: str, environment: Mapping[str, str]) -> Service:
            return stack.enter_context(service(name, "python", form, environment))

        details, ratings = start("details", {}), start("ratings", {})
        reviews = [
            start("reviews", address("RATINGS", ratings) | settings)
            for settings in (
                {"ENABLE_RATINGS": "false"},
                {"ENABLE_RATINGS": "true", "STAR_COLOR": "black"},
                {"ENABLE_RATINGS": "true", "STAR_COLOR": "red"},
            )
        ]
        asked = {"DETAILS": details, "REVIEWS": reviews[2], "RATINGS": ratings}
        page = start(
            "productpage", {key: value for name, one in asked.items() for key, value in address(name, one).items()}
        )
        yield Variant(page, dict(zip(BEHIND, (details, reviews[2], ratings), strict=True)), tuple(reviews[:2]))


@contextmanager
def peer(command: str, behind: Mapping[str, Service]) -> Iterator[Variant]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for name, one in behind.items() for key, value in address(name.upper(), one).items()}
    argv = shlex.split(command.replace("{port}", str(port)))
    with process(argv, environment, ready="/health", port=port) as page:
        yield Variant(page, behind)


def address(name: str, of: Service) -> dict[str, str]:
    return {f"{name}_HOSTNAME": "127.0.0.1", f"{name}_SERVICE_PORT": str(of.port)}


def show(variants: Mapping[str, Variant]) -> None:
    console = Console(width=None if Console().is_terminal else 120)
    table = Table(title=f"/productpage, {CONCURRENCY} at a time ({ROUNDS} rounds of {PAGES}), medians")
    for column in (
        "",
        "pages/s",
        "p50 ms",
        "p99 ms",
        "CPU ms: productpage",
        "the others",
        "MB: productpage",
        "all six",
    ):
        table.add_column(column, justify="right" if column else "left")
    middle = statistics.median
    for name, one in variants.items():
        table.add_row(name, f"{middle(one.rate):.0f}", f"{middle(one.p50_ms):.1f}", f"{middle(one.p99_ms):.1f}",
                      f"{middle(one.page_cpu_ms):.2f}", f"{middle(one.behind_cpu_ms):.2f}", f"{one.page.memory_mb:.0f}",
                      f"{one.memory_mb:.0f}" if one.others else "-")  # fmt: skip
    for name, against in (("otel", "plain"), ("plain", "peer")):
        if name in variants and against in variants:
            ours, theirs = variants[name], variants[against]
            rates = [a / b for a, b in zip(ours.rate, theirs.rate, strict=True)]
            cpu = [a / b for a, b in zip(ours.page_cpu_ms, theirs.page_cpu_ms, strict=True)]
            table.add_row(f"{name} / {against}", f"{middle(rates):.2f}", "", "", f"{middle(cpu):.2f}", "",
                          f"{ours.page.memory_mb / theirs.page.memory_mb:.2f}", "")  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
