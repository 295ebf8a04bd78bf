"""The progress bar of a load, and its summary in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from meshtrail.load.plan import Plan
    from meshtrail.load.report import LoadReport
    from meshtrail.load.run import Progress

PERCENTILES = (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))


@contextmanager
def load_progress(description: str, wanted: Plan) -> Iterator[Progress | None]:
    """A bar on standard error while the block runs; it yields what `run_load` takes, None without a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from meshtrail.load.plan import MAX_COUNT

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    # Without a rate nobody knows how many fit into the time.
    total = wanted.count if wanted.rate is not None or wanted.count < MAX_COUNT else None
    task = bar.add_task(description, total=total, failed="")

    def show(finished: int, failed: int) -> None:
        bar.update(task, completed=finished, failed=f"{failed} failed" if failed else "")

    with bar:
        yield show


def print_summary(report: LoadReport) -> None:
    click.echo(
        f"{report.url}: {report.sent} requests in {report.duration_s:.1f} s, {report.achieved_rate:.1f} answers/s"
    )
    if (
        report.rate is not None
        and not report.interrupted
        and report.achieved_rate < 0.9 * report.rate
        and report.sent > 20
    ):
        click.echo(f"behind: {report.rate:g}/s were asked for; the target or this machine is too slow")
    if report.latencies_ms:
        figures = (f"{name} {report.percentile(percent):.1f}" for name, percent in PERCENTILES)
        click.echo(f"latency ms: {', '.join(figures)}")
    if report.statuses:
        click.echo(f"status: {', '.join(f'{status} x {number}' for status, number in sorted(report.statuses.items()))}")
    errors = ", ".join(f"{kind} x {number}" for kind, number in sorted(report.errors.items()))
    click.echo(f"errors: {errors or 'none'}")
    if report.retried:
        click.echo(f"sent again after the server closed an idle connection: {report.retried}")
    if report.interrupted:
        click.echo("interrupted: this is what was done until then")
