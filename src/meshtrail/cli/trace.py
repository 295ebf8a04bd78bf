"""`meshtrail trace`: draw requests in the terminal, from the running mesh's store or from any Jaeger."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from meshtrail.cli.jaeger_options import jaeger_options
from meshtrail.cli.options import name_option
from meshtrail.cli.where import cluster, say_waiting, target_options

if TYPE_CHECKING:
    from meshtrail.cluster.session import Session, Where
    from meshtrail.model.request import Request
    from meshtrail.reading.access import Access
    from meshtrail.reading.jaeger import JaegerClient

EPILOG = """Without ID, --last or --request-id: the last request that came through.

Exit status: 0 every request drawn is one complete trace; 1 one is broken, or none was found; 2 could not look."""


@click.command(epilog=EPILOG)
@click.argument("trace_id", metavar="[ID]", required=False)
@click.option("--last", "number", type=click.IntRange(1, 1000), metavar="N", help="The last N requests, newest last.")
@click.option("--request-id", metavar="X", help="The request with this x-request-id.")
@click.option("--service", metavar="S", help="Only requests that touch this service, e.g. backend.meshtrail.")
@jaeger_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/reading-traces.md describes it.")
@target_options(only_local=("name", "jaeger"))
@name_option
def command(
    trace_id: str | None,
    number: int | None,
    request_id: str | None,
    service: str | None,
    access: Access | None,
    as_json: bool,
    name: str,
    where: Where | None,
) -> int:
    """Draw traces in the terminal; the pieces of a broken one together.

    ID is a trace id. It may be that of any piece.
    """
    from rich.console import Console

    from meshtrail.reading.draw import draw
    from meshtrail.reading.jaeger import JaegerClient
    from meshtrail.reading.report import report
    from meshtrail.reading.search import last_requests, request_of_trace, requests_of_id, settled

    if sum(choice is not None for choice in (trace_id, number, request_id)) > 1:
        raise click.UsageError("ID, --last and --request-id exclude each other")

    with _opened(access, name, where) as (at, session), JaegerClient(at) as client:
        now_us, entry = _now_and_entry(client, session, service)

        def look() -> tuple[Request, ...]:
            if trace_id is not None:
                request = request_of_trace(client, trace_id)
                return () if request is None else (request,)
            if request_id is not None:
                return requests_of_id(client, request_id, service=service)
            return last_requests(client, number or 1, service=entry, until_us=now_us)

        newest = trace_id is None and request_id is None
        requests = settled(look) if session is None else _late(session, look, last=newest)
        address = client.url

    if as_json:
        click.echo(json.dumps(report(requests), indent=2))
    elif requests:
        draw(Console(), requests)
    else:
        what = f"no trace {trace_id}" if trace_id else f"no request {request_id}" if request_id else "no traces"
        of = f" of {service}" if service else ""
        click.echo(f"{what}{of} at {address}; send a request, or see `meshtrail trace --help`", err=True)
    return 0 if requests and all(request.complete for request in requests) else 1


def _address(access: Access | None, name: str) -> str | Access:
    if access is not None:
        return access
    from meshtrail.errors import MeshtrailError
    from meshtrail.local import state

    try:
        return state.load(name).jaeger
    except MeshtrailError as error:
        # Not 1, which says that a trace is broken.
        raise MeshtrailError(error.message, mend=f"{error.mend}, or name a Jaeger with --jaeger URL") from error


@contextmanager
def _opened(access: Access | None, name: str, where: Where | None) -> Iterator[tuple[str | Access, Session | None]]:
    """Jaeger's address, and the cluster that it is on, if it is on one."""
    if where is None:
        yield _address(access, name), None
        return
    with cluster(where) as session:
        reached = session.jaeger()
        click.echo(f"Jaeger {reached.url} ({reached.service}, {reached.via})", err=True)
        yield reached.url, session


def _now_and_entry(client: JaegerClient, session: Session | None, service: str | None) -> tuple[int, str | None]:
    """The time by which the newest request has begun, in microseconds, and the service to search by."""
    if session is None:
        return int(time.time() * 1_000_000), service
    from meshtrail.cluster.traces import entry, now_us

    return now_us(client.url), service or entry(session.snapshot, client)


def _late(session: Session, look: Callable[[], tuple[Request, ...]], *, last: bool) -> tuple[Request, ...]:
    from meshtrail.cluster.traces import prompt, settled

    return settled(look, soon=prompt(session.snapshot), last=last, waiting=say_waiting)
