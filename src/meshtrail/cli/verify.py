"""`meshtrail verify`: requests of its own to any mesh, and whether their trace is complete in any Jaeger."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from meshtrail.load.target import Target
    from meshtrail.model.request import Request
    from meshtrail.reading.jaeger import JaegerClient

RATE = 50.0
URL_TAG = "http.url"
# Every proxy sends its spans on its own time, the root's often first: half a trace looks like a small whole one. So a
# trace counts once no span has been added for this long.
SETTLED_SECONDS = 1.0

EPILOG = """The requests carry a mark of their own in the query string, so other traffic does not matter. With sampling
below 100 %, send enough of them that one is sampled: 1,000 at 1 %.

Exit status: 0 every request was answered and a sampled one is one complete trace; 1 not so; 2 wrong arguments, or the
mesh or Jaeger cannot be reached."""


@click.command(name="verify", epilog=EPILOG)
@click.option("--url", required=True, metavar="URL", help="The gateway, e.g. http://127.0.0.1:8080/.")
@click.option("--jaeger", required=True, metavar="URL", help="Jaeger, with its base path, e.g. http://127.0.0.1:16686.")
@click.option("--requests", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many to send.")
@click.option("--within", type=click.FloatRange(1, 300), default=30.0, show_default=True, metavar="SECONDS",
              help="How long to wait for the trace.")  # fmt: skip
@click.option("--service", "services", multiple=True, metavar="S",
              help="The trace must touch this service, e.g. database.meshtrail; repeats.")  # fmt: skip
@click.option("--spans", type=click.IntRange(1), default=1, metavar="N", help="The trace must have N spans at least.")
@click.option("--allow-remote", is_flag=True, help="Allow a gateway that is not this machine: only one that is yours.")
def command(
    url: str, jaeger: str, requests: int, within: float, services: tuple[str, ...], spans: int, allow_remote: bool
) -> int:
    """Send requests through a gateway and check that Jaeger has a complete trace of them."""
    from urllib.parse import urlsplit

    from rich.console import Console

    from meshtrail.cli.progress import print_summary
    from meshtrail.load.plan import plan
    from meshtrail.load.run import run_load
    from meshtrail.load.target import resolve
    from meshtrail.reading.draw import draw
    from meshtrail.reading.jaeger import JaegerClient

    parts = urlsplit(url)
    mark = f"verify={secrets.token_hex(8)}"
    path = f"{parts.path or '/'}?{parts.query + '&' if parts.query else ''}{mark}"
    target = resolve(url, path=path, allow_remote=allow_remote)
    with JaegerClient(jaeger) as client:
        # A wrong address of Jaeger is said before anything is sent.
        client.services()
        began_us = int(time.time() * 1_000_000)
        report = asyncio.run(run_load(target, plan(rate=RATE, count=requests)))
        print_summary(report)
        if not report.ok or report.answered != requests:
            click.echo("not verified: not every request was answered", err=True)
            return 1
        found = _wait(client, target, began_us, within, lambda request: not _problems(request, services, spans))
    if found is None:
        click.echo(
            f"not verified: no trace of these requests at {jaeger} within {within:g} s\n"
            "  mend: is the sampling high enough for their number, and does a Telemetry name a provider? "
            "`meshtrail preflight` says so",
            err=True,
        )
        return 1
    click.echo("")
    draw(Console(), (found,))
    problems = _problems(found, services, spans)
    for problem in problems:
        click.echo(f"not verified: {problem}", err=True)
    if not problems:
        click.echo(f"verified: {found.summary}, {found.span_count} spans, {len(found.services)} services")
    return 1 if problems else 0


def _wait(
    client: JaegerClient, target: Target, began_us: int, within: float, wanted: Callable[[Request], bool]
) -> Request | None:
    """The newest of the requests that is as wanted; when the time is up, the one that tells most, or None."""
    from meshtrail.model.request import telling
    from meshtrail.reading.search import request_of_trace

    deadline = time.monotonic() + within
    unchanged: dict[tuple[str, int], float] = {}
    while True:
        now = time.monotonic()
        others: list[Request] = []
        settling = False
        for trace in reversed(client.find_any(tags={URL_TAG: target.url}, start_us=began_us - 1_000_000)):
            request = request_of_trace(client, trace.trace_id)
            if request is not None and wanted(request):
                if now - unchanged.setdefault((trace.trace_id, request.span_count), now) >= SETTLED_SECONDS:
                    return request
                settling = True
            if request is not None:
                others.append(request)
        # One that looks whole when the time is up is looked at until it has settled.
        if now > deadline and not (settling and now < deadline + SETTLED_SECONDS + 1):
            return telling(others)
        time.sleep(0.2)


def _problems(request: Request, services: tuple[str, ...], spans: int) -> list[str]:
    problems = [] if request.complete else [f"the trace is {request.summary}"]
    missing = [name for name in services if name not in request.services]
    if missing:
        problems.append(f"the trace does not touch {', '.join(missing)}; it touches {', '.join(request.services)}")
    if request.span_count < spans:
        problems.append(f"the trace has {request.span_count} spans, at least {spans} were expected")
    return problems
