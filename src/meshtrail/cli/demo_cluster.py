"""`meshtrail demo --target cluster`: requests to an application that is deployed, and their trace."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from typing import TYPE_CHECKING

import click

from meshtrail.cli import suggest
from meshtrail.cli.load import cluster_target
from meshtrail.cli.program import program
from meshtrail.cli.progress import load_progress, print_summary
from meshtrail.cli.where import cluster, say_waiting

if TYPE_CHECKING:
    from meshtrail.cluster.reach import Reached
    from meshtrail.cluster.session import Session, Where
    from meshtrail.load.report import LoadReport
    from meshtrail.load.target import Target
    from meshtrail.local.applications import Application
    from meshtrail.model.request import Request

RATE = 20.0
PATIENCE_S = 5.0
"""Beyond the time that the sidecars take: Jaeger's own pipeline."""


def demo(where: Where, *, expected: str, once: bool, requests: int) -> int:
    """The exit status: as without a cluster. `expected` is the application that has to be there; empty: any."""
    from rich.console import Console

    from meshtrail.reading.draw import draw

    with cluster(where) as session:
        if expected:
            _require(session, expected)
        _check(session)
        # A mark in the query tells our requests from those of others.
        target = cluster_target(session, path=f"{session.application.path}?demo={secrets.token_hex(8)}")
        jaeger = session.jaeger()
        click.echo(f"Jaeger {jaeger.url} ({jaeger.service}, {jaeger.via})", err=True)
        report = asyncio.run(_send(target, requests))
        print_summary(report)
        request = _trace(session, jaeger, target)
        if request is None:
            click.echo(
                "no trace of these requests arrived: is the sampling high enough for their number?\n"
                f"  mend: {_call(where, 'preflight')} says what it is, --requests N sends more",
                err=True,
            )
        else:
            click.echo("")
            draw(Console(), (request,))
        complete = report.ok and report.answered == requests and request is not None and request.complete
        if once:
            return 0 if complete else 1
        _suggest(where, session.application, target, jaeger)
        _stay()
    return 0


def _require(session: Session, name: str) -> None:
    """Raises MeshtrailError when the namespace holds another application."""
    from meshtrail.errors import MeshtrailError
    from meshtrail.local.applications import DEFAULT_APPLICATION, application

    found = session.application.name
    if application(name).name != found:
        profile = "" if name == DEFAULT_APPLICATION else f" -p {name}"
        raise MeshtrailError(
            f"namespace {session.snapshot.namespace} holds {found}, not {name}",
            mend=f"end what runs there, then `skaffold run{profile}`",
        )


def _check(session: Session) -> None:
    """A preflight of what can be seen at once; what is wrong is said, and the demo goes on as far as it gets."""
    from meshtrail.cluster.preflight.run import check

    for finding in check(session.snapshot):
        if finding.level != "ok":
            click.echo(f"{finding.level}: {finding.seen}\n  mend: {finding.mend}", err=True)


async def _send(target: Target, requests: int) -> LoadReport:
    from meshtrail.load.plan import plan
    from meshtrail.load.run import run_load

    wanted = plan(rate=RATE, count=requests)
    with load_progress("Sending requests", wanted) as progress:
        return await run_load(target, wanted, progress=progress)


def _trace(session: Session, jaeger: Reached, target: Target) -> Request | None:
    from meshtrail.cluster.traces import entry, prompt, request_of_url, settled
    from meshtrail.reading.jaeger import JaegerClient, JaegerError

    with JaegerClient(jaeger.url) as client:

        def look() -> tuple[Request, ...]:
            request = request_of_url(client, target.url, service=entry(session.snapshot, client))
            return () if request is None else (request,)

        def try_to() -> tuple[Request, ...]:
            try:
                return look()
            except JaegerError:
                # Jaeger's pod may just be replaced; the port-forward comes back with the new one.
                return ()

        found = settled(try_to, soon=prompt(session.snapshot), last=True, waiting=say_waiting)
        deadline = time.monotonic() + PATIENCE_S
        while not (found and found[0].explained) and time.monotonic() < deadline:
            time.sleep(0.3)
            found = try_to()
        found = found or look()
    return found[0] if found else None


def _suggest(where: Where, app: Application, target: Target, jaeger: Reached) -> None:
    address = f"http://{target.host}" + (f":{target.port}" if target.port != 80 else "")
    # The authority is the address itself, unless the route wants another host.
    host = f" -H 'Host: {target.authority}'" if target.authority not in address else ""
    kubectl = "kubectl" + (f" --context {where.context}" if where.context else "")
    click.echo("\nIn another terminal:")
    suggest.show(
        [
            *suggest.steps(
                app,
                curl=f"curl{host}",
                address=address,
                call=lambda words: _call(where, words),
                apply=f"{kubectl} apply -k",
            ),
            (_call(where, "preflight"), "what the cluster has, and lacks"),
            (f"open {jaeger.url}", "Jaeger's own pages"),
        ]
    )
    click.echo("Ctrl-C ends the demo, and the port-forwards if there are any.")


def _call(where: Where, words: str) -> str:
    target = "" if words == "preflight" else " --target cluster"
    context = f" --context {where.context}" if where.context else ""
    namespace = "" if where.namespace == "meshtrail" else f" --namespace {where.namespace}"
    return f"{program()} {words}{target}{context}{namespace}"


def _stay() -> None:
    """Until Ctrl-C, which is the way to end a demo and no failure."""
    # A script's background job is started with SIGINT ignored; the local demo listens to it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        click.echo("Stopping ...")
