"""`meshtrail trace`: draw requests in the terminal, from the running mesh's store or from any Jaeger."""

from __future__ import annotations

import json
import time

import click

EPILOG = """Without ID, --last or --request-id: the last request that came through.

Exit status: 0 every request drawn is one complete trace; 1 one is broken, or none was found; 2 could not look."""


@click.command(epilog=EPILOG)
@click.argument("trace_id", metavar="[ID]", required=False)
@click.option("--last", "number", type=click.IntRange(1, 1000), metavar="N", help="The last N requests, newest last.")
@click.option("--request-id", metavar="X", help="The request with this x-request-id.")
@click.option("--service", metavar="S", help="Only requests that touch this service, e.g. backend.meshtrail.")
@click.option("--jaeger", metavar="URL", help="Ask this Jaeger, e.g. http://127.0.0.1:16686, not the running mesh.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/reading-traces.md describes it.")
@click.option("--name", default="default", show_default=True, help="Name of the running mesh.")
def command(
    trace_id: str | None,
    number: int | None,
    request_id: str | None,
    service: str | None,
    jaeger: str | None,
    as_json: bool,
    name: str,
) -> int:
    """Draw traces in the terminal; the pieces of a broken one together.

    ID is a trace id. It may be that of any piece.
    """
    from rich.console import Console

    from meshtrail.model.request import Request
    from meshtrail.reading.draw import draw
    from meshtrail.reading.jaeger import JaegerClient
    from meshtrail.reading.report import report
    from meshtrail.reading.search import last_requests, request_of_trace, requests_of_id, settled

    if sum(choice is not None for choice in (trace_id, number, request_id)) > 1:
        raise click.UsageError("ID, --last and --request-id exclude each other")

    now_us = int(time.time() * 1_000_000)
    with JaegerClient(_address(jaeger, name)) as client:

        def look() -> tuple[Request, ...]:
            if trace_id is not None:
                request = request_of_trace(client, trace_id)
                return () if request is None else (request,)
            if request_id is not None:
                return requests_of_id(client, request_id, service=service)
            return last_requests(client, number or 1, service=service, until_us=now_us)

        requests = settled(look)
        where = client.url

    if as_json:
        click.echo(json.dumps(report(requests), indent=2))
    elif requests:
        draw(Console(), requests)
    else:
        what = f"no trace {trace_id}" if trace_id else f"no request {request_id}" if request_id else "no traces"
        of = f" of {service}" if service else ""
        click.echo(f"{what}{of} at {where}; send a request, or see `meshtrail trace --help`", err=True)
    return 0 if requests and all(request.complete for request in requests) else 1


def _address(jaeger: str | None, name: str) -> str:
    if jaeger is not None:
        return jaeger
    from meshtrail.errors import MeshtrailError
    from meshtrail.local import state

    try:
        return state.load(name).jaeger
    except MeshtrailError as error:
        # Not 1, which says that a trace is broken.
        raise MeshtrailError(error.message, mend=f"{error.mend}, or name a Jaeger with --jaeger URL") from error
