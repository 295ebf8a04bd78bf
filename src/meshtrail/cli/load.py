"""`meshtrail load`: requests at a steady rate, always bounded, to this machine unless told otherwise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from meshtrail.cli.options import name_option
from meshtrail.cli.progress import load_progress, print_summary
from meshtrail.cli.where import cluster, target_options
from meshtrail.load.plan import (
    DEFAULT_CLOSED_CONCURRENCY,
    DEFAULT_CONCURRENCY,
    DEFAULT_DURATION_S,
    DEFAULT_RATE,
    DEFAULT_TIMEOUT_S,
    MAX_COUNT,
    MAX_DURATION_S,
    MAX_RATE,
    plan,
)

if TYPE_CHECKING:
    from meshtrail.cluster.session import Session, Where
    from meshtrail.load.plan import Plan
    from meshtrail.load.report import LoadReport
    from meshtrail.load.target import Target

EPILOG = """Latency at a fixed rate counts from the moment a request was due. Statuses from 400 on are errors.

Exit status: 0 no error; 1 a request failed, or none was sent; 2 wrong arguments; 130 interrupted, after the summary of
what was done."""


def _rate(ctx: click.Context, param: click.Parameter, value: str) -> float | None:
    """Requests per second; None for `max`."""
    if value == "max":
        return None
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor 'max'", ctx, param) from None


def _headers(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Each `Name: value` as a pair."""
    headers = []
    for value in values:
        name, colon, text = value.partition(":")
        text = text.strip()
        if not colon or not name or not set(name) <= _TOKEN or not text.isprintable() or not _latin(text):
            raise click.BadParameter(f"{value!r} is not a header, e.g. 'end-user: jason'", ctx, param)
        if name.lower() in ("content-length", "transfer-encoding", "connection"):
            raise click.BadParameter(f"{name} is set by the connection itself", ctx, param)
        headers.append((name, text))
    return tuple(headers)


_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)


@click.command(epilog=EPILOG)
@click.option("--url", metavar="URL", help="Where to send, e.g. http://127.0.0.1:8080; default: the mesh's gateway.")
@click.option(
    "--path", metavar="PATH", help="Path of the request; default: the one in the URL, else the application's."
)
@click.option(
    "--rate",
    default=f"{DEFAULT_RATE:g}",
    callback=_rate,
    metavar="R",
    show_default=True,
    help=f"Requests a second, at most {MAX_RATE:g}; max: as fast as answers come.",
)
@click.option(
    "--duration",
    "duration_s",
    type=float,
    metavar="SECONDS",
    help=f"Stop after this time; default: {DEFAULT_DURATION_S:g}, at most {MAX_DURATION_S:g}.",
)
@click.option("--count", type=int, metavar="N", help=f"Stop after N requests, at most {MAX_COUNT}.")
@click.option(
    "--concurrency",
    type=int,
    metavar="N",
    help=f"Most connections at once; default: {DEFAULT_CONCURRENCY}, {DEFAULT_CLOSED_CONCURRENCY} at rate max.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="For one request.",
)
@click.option(
    "--header", "headers", callback=_headers, multiple=True, metavar="K:V", help="Send this header too; repeats."
)
@click.option("--allow-remote", is_flag=True, help="Allow a target that is not this machine: only one that is yours.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@target_options(only_local=("name", "url", "allow_remote"))
@name_option
def command(
    url: str | None,
    path: str | None,
    rate: float | None,
    duration_s: float | None,
    count: int | None,
    concurrency: int | None,
    timeout_s: float,
    headers: tuple[tuple[str, str], ...],
    allow_remote: bool,
    as_json: bool,
    name: str,
    where: Where | None,
) -> int:
    """Send GET requests, bounded in rate, time and count, and say how they fared."""
    from meshtrail.load.target import resolve

    wanted = plan(
        rate=rate,
        duration_s=duration_s,
        count=count,
        concurrency=concurrency,
        timeout_s=timeout_s,
    )
    if where is None:
        target = resolve(_entry(name) if url is None else url, path=path, allow_remote=allow_remote)
        report = _run(target, wanted, headers)
    else:
        with cluster(where) as session:
            report = _run(cluster_target(session, path=path), wanted, headers)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        print_summary(report)
    if report.interrupted:
        return 130
    return 0 if report.ok else 1


def cluster_target(session: Session, *, path: str | None = None) -> Target:
    """The cluster's gateway; says on standard error how it is reached. Raises MeshtrailError."""
    import dataclasses

    from meshtrail.load.target import resolve

    gateway = session.gateway()
    reached = gateway.reached
    host = f", Host {gateway.host}" if gateway.host else ""
    click.echo(f"gateway {reached.url} ({reached.service}, {reached.via}{host})", err=True)
    # Found through the user's own credentials for the cluster, so it is the user's to load.
    target = resolve(reached.url + session.application.path, path=path, allow_remote=True)
    return dataclasses.replace(target, authority=gateway.host) if gateway.host else target


def _entry(name: str) -> str:
    """What to ask of a running mesh: its gateway's address, and the path of its application."""
    from meshtrail.errors import MeshtrailError
    from meshtrail.local import state
    from meshtrail.local.applications import application

    try:
        mesh = state.load(name)
        return mesh.gateway + application(mesh.application).path
    except MeshtrailError as error:
        # Not 1, which says that a request failed.
        raise MeshtrailError(error.message, mend=f"{error.mend}, or name a target with --url URL") from error


def _run(target: Target, wanted: Plan, headers: tuple[tuple[str, str], ...]) -> LoadReport:
    """Ctrl-C ends the sending; the summary says so."""
    import asyncio
    import signal

    from meshtrail.load.run import run_load

    async def go() -> LoadReport:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        with load_progress(target.url, wanted) as progress:
            return await run_load(target, wanted, headers=headers, stop=stop, progress=progress)

    return asyncio.run(go())
