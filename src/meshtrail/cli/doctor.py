"""`meshtrail doctor`: what is wrong with the tracing of a mesh, and who is to blame, from its traces."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from meshtrail.cli.jaeger_options import jaeger_options
from meshtrail.cli.options import name_option
from meshtrail.cli.where import cluster, target_options
from meshtrail.errors import MeshtrailError

if TYPE_CHECKING:
    from meshtrail.cluster.session import Where
    from meshtrail.doctor.finding import Report
    from meshtrail.model.trace import Trace
    from meshtrail.reading.access import Access
    from meshtrail.reading.sources import Source

EPILOG = """--since is a time back from now (90s, 15m, 2h, 1d). With --file all traces of the file are looked at.

Exit status: 0 healthy (notes do not count); 1 there are findings; 2 could not look, or no traces are there."""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LOCAL_SETTLE_US = 1_500_000
"""The local mesh's proxies hand spans over every 0.1 s, its services every 0.2 s."""


class Ago(click.ParamType[float]):
    """`15m` -> seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(value))
        if not found or not float(found[1]):
            self.fail(f"{value!r} is not a time such as 90s, 15m, 2h or 1d", param, ctx)
        return float(found[1]) * UNITS[found[2]]


@dataclass(frozen=True)
class _Place:
    """Where to look. `now_us` is the clock there, None when the traces are not live; `wanted` leaves traces out."""

    source: Source
    now_us: Callable[[], int | None]
    settle_us: int
    wanted: Callable[[Trace], bool] = lambda _: True
    empty: str = "send requests through the mesh, or look further back with --since"


@click.command(epilog=EPILOG)
@jaeger_options
@click.option(
    "--file", "file", metavar="F", help="Read this file: Jaeger JSON or OTLP JSON, also gzip; - is standard input."
)
@click.option("--service", metavar="S", help="Only traces that touch this service, e.g. backend.meshtrail.")
@click.option("--since", type=Ago(), default="15m", show_default=True, metavar="TIME", help="How far back to look.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, metavar="N",
              help="At most N traces.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/doctor.md describes it.")
@target_options(only_local=("name", "jaeger", "file"))
@name_option
def command(
    access: Access | None,
    file: str | None,
    service: str | None,
    since: float,
    limit: int,
    as_json: bool,
    name: str,
    where: Where | None,
) -> int:
    """Look at the traces of a mesh and say what is wrong, and who is to blame.

    The running mesh's, those of any Jaeger (--jaeger) or of a file (--file).
    """
    from rich.console import Console

    from meshtrail.doctor.draw import draw
    from meshtrail.doctor.report import as_json as shape

    if access is not None and file is not None:
        raise click.UsageError("--jaeger and --file exclude each other")
    with _opened(access, file, name, where) as place:
        since_us = 0 if file is not None else int(time.time() * 1_000_000) - int(since * 1_000_000)
        report = _look(place, service=service, since_us=since_us, limit=limit)
        address = place.source.address
    if not report.traces:
        of = f" of {service}" if service else ""
        back = "" if file is not None else f" of the last {_said(since)}"
        raise MeshtrailError(f"nothing to look at: no traces{of}{back} in {address}", mend=place.empty)
    if as_json:
        click.echo(json.dumps(shape(report, source=address), indent=2))
    else:
        draw(Console(), report, source=address, since_us=since_us or None)
        if report.traces >= limit:
            click.echo(f"only the newest {limit} traces were looked at; --limit takes more", err=True)
    return 0 if report.healthy else 1


@contextmanager
def _opened(access: Access | None, file: str | None, name: str, where: Where | None) -> Iterator[_Place]:
    from meshtrail.doctor.examine import SETTLE_US
    from meshtrail.reading.access import Access as JaegerAccess
    from meshtrail.reading.sources import from_file, from_jaeger

    if file is not None:
        empty = "give a file that Jaeger or a collector wrote: JSON with traces in it"
        yield _Place(from_file(file), lambda: None, 0, empty=empty)
    elif access is not None:
        yield _Place(from_jaeger(access), _now_us, SETTLE_US)
    elif where is None:
        yield _Place(from_jaeger(JaegerAccess.of(_local(name))), _now_us, LOCAL_SETTLE_US)
    else:
        from meshtrail.cluster.traces import now_us, prompt

        with cluster(where) as session:
            reached = session.jaeger()
            click.echo(f"Jaeger {reached.url} ({reached.service}, {reached.via})", err=True)
            yield _Place(
                from_jaeger(JaegerAccess.of(reached.url)),
                lambda: now_us(reached.url),
                LOCAL_SETTLE_US if prompt(session.snapshot) else SETTLE_US,
                _touches(where.namespace),
            )


def _now_us() -> int:
    return int(time.time() * 1_000_000)


def _touches(namespace: str) -> Callable[[Trace], bool]:
    """Others share the cluster's Jaeger: a trace counts that has a span of the namespace's sidecars."""
    suffix = f".{namespace}"

    def touches(trace: Trace) -> bool:
        return any(
            span.service.endswith(suffix) or span.tags.get("istio.namespace") == namespace for span in trace.spans
        )

    return touches


def _local(name: str) -> str:
    from meshtrail.local import state

    try:
        return state.load(name).jaeger
    except MeshtrailError as error:
        mend = f"{error.mend}, or name a Jaeger with --jaeger URL or a file with --file F"
        raise MeshtrailError(error.message, mend=mend) from error


def _look(place: _Place, *, service: str | None, since_us: int, limit: int) -> Report:
    """Looks again after a moment while most of the traces are so young that spans may be on their way."""
    from meshtrail.doctor.examine import examine

    def look() -> tuple[Report, int | None]:
        now_us = place.now_us()
        traces = place.source.traces(service=service, since_us=since_us, limit=limit)
        wanted = (trace for trace in traces if place.wanted(trace))
        return examine(wanted, now_us=now_us, settle_us=place.settle_us), now_us

    report, now_us = look()
    if now_us is None or not report.traces or 2 * report.unsettled < report.traces:
        return report
    wait_s = min(place.settle_us, max(0, report.last_us + place.settle_us - now_us)) / 1_000_000 + 0.1
    click.echo(f"waiting {wait_s:.1f} s for spans that are on their way", err=True)
    time.sleep(wait_s)
    return look()[0]


def _said(seconds: float) -> str:
    for unit, size in reversed(UNITS.items()):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
