"""`meshtrail demo`: a mesh, some requests, and their trace in the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from meshtrail.cli import suggest
from meshtrail.cli.options import DEFAULT_NAME, START_PARAMETERS, start_options
from meshtrail.cli.program import program
from meshtrail.cli.progress import load_progress, print_summary
from meshtrail.cli.where import target_options

if TYPE_CHECKING:
    from meshtrail.cluster.session import Where
    from meshtrail.load.report import LoadReport
    from meshtrail.local.options import MeshOptions
    from meshtrail.local.state import RunningMesh
    from meshtrail.model.request import Request

RATE = 20.0
TRACE_WITHIN = 10.0

EPILOG = """Takes the options of `meshtrail up`. With --target cluster nothing is started: it takes the application that
is deployed, which has to be the one that is named, if one is.

Exit status with --once: 0 every request was answered and the last one is one complete trace; 1 it is not. Without:
0 after Ctrl-C. 2 wrong arguments, manifests or environment."""


@click.command(name="demo", epilog=EPILOG)
@target_options(only_local=[name for name in START_PARAMETERS if name != "application"])
@start_options
@click.option("--once", is_flag=True, help="End after the trace is drawn.")
@click.option("--requests", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many to send.")
def command(options: Callable[[], MeshOptions], once: bool, requests: int, where: Where | None) -> int:
    """Start a mesh, send requests, draw the trace of the last one, and stay until Ctrl-C."""
    if where is not None:
        from meshtrail.cli.demo_cluster import demo

        context = click.get_current_context()
        given = context.get_parameter_source("application") is not click.core.ParameterSource.DEFAULT
        return demo(where, expected=context.params["application"] if given else "", once=once, requests=requests)
    return _local(options(), once, requests)


def _local(options: MeshOptions, once: bool, requests: int) -> int:
    from meshtrail.local import session

    complete = False

    async def show(mesh: RunningMesh) -> bool:
        nonlocal complete
        complete = await _show(mesh, requests, stays=not once)
        return once

    click.echo(f"Starting {options.application} on a local mesh ...")
    asyncio.run(
        session.serve(
            options,
            on_ready=_announce,
            work=show,
            on_event=lambda sentence: click.echo(f"  {sentence}", err=True),
            on_stopping=lambda: click.echo("Stopping ..."),
        )
    )
    return 0 if complete or not once else 1


def _announce(mesh: RunningMesh) -> None:
    for warning in mesh.warnings:
        click.echo(f"warning: {warning}", err=True)
    kinds = [process.kind for process in mesh.processes]
    click.echo(
        f"Up: {kinds.count('service')} services, {kinds.count('sidecar')} Envoy sidecars, an Envoy gateway at "
        f"{mesh.gateway}/, a trace store."
    )


async def _show(mesh: RunningMesh, requests: int, *, stays: bool) -> bool:
    """Whether every request was answered and the last one is one complete trace."""
    from rich.console import Console

    from meshtrail.reading.draw import draw

    report = await _send(mesh, requests)
    print_summary(report)
    # The client of Jaeger's API waits; the mesh, in this same process, must not.
    found = await asyncio.to_thread(_last_request, mesh.jaeger)
    click.echo("")
    draw(Console(), found)
    if not found:
        click.echo(f"no trace arrived within {TRACE_WITHIN:g} s: is sampling 0?", err=True)
    if stays:
        _suggest(mesh)
    return report.ok and report.answered == requests and bool(found) and found[-1].complete


async def _send(mesh: RunningMesh, requests: int) -> LoadReport:
    from meshtrail.load.plan import plan
    from meshtrail.load.run import run_load
    from meshtrail.load.target import resolve
    from meshtrail.local.applications import application

    wanted = plan(rate=RATE, count=requests)
    with load_progress("Sending requests", wanted) as progress:
        return await run_load(resolve(mesh.gateway + application(mesh.application).path), wanted, progress=progress)


def _last_request(jaeger: str) -> tuple[Request, ...]:
    """The last request once its trace is complete, or as it is when the time is up."""
    import time

    from meshtrail.reading.jaeger import JaegerClient
    from meshtrail.reading.search import last_requests, settled

    deadline = time.monotonic() + TRACE_WITHIN
    with JaegerClient(jaeger) as client:
        while True:
            found = settled(lambda: last_requests(client, 1))
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


def _suggest(mesh: RunningMesh) -> None:
    from meshtrail.local.applications import application

    def call(words: str) -> str:
        return f"{program()} {words}" + ("" if mesh.name == DEFAULT_NAME else f" --name {mesh.name}")

    click.echo("\nIn another terminal:")
    suggest.show(
        [
            *suggest.steps(
                application(mesh.application), curl="curl", address=mesh.gateway, call=call, apply=call("apply -k")
            ),
            (call("status"), "processes and addresses; any Jaeger UI can read " + mesh.jaeger),
        ]
    )
    click.echo("Edits of the manifests in k8s/ and istio/ go live at once. Ctrl-C ends the demo.")
