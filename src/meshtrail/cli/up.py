"""`meshtrail up`: start an application on a local mesh."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from meshtrail.cli.options import DEFAULT_NAME, start_options
from meshtrail.cli.program import program

if TYPE_CHECKING:
    from meshtrail.local.options import MeshOptions
    from meshtrail.local.state import RunningMesh


@click.command(name="up")
@start_options
@click.option("-d", "--detach", is_flag=True, help="Return when it is ready; end it with `meshtrail down`.")
def command(options: Callable[[], MeshOptions], detach: bool) -> None:
    """Start an application on a local mesh of real Envoy sidecars: three-tier, bookinfo or helloworld.

    Reads k8s/ and istio/ of the repository, starts one Envoy for each sidecar and one for the ingress gateway, the
    services and the trace store, all on 127.0.0.1. Edits of the manifests go live at once. Ctrl-C ends it.
    """
    from meshtrail.local import session

    if detach:
        show(session.detach(options()), detached=True)
        return
    asyncio.run(
        session.serve(
            options(),
            on_ready=lambda mesh: show(mesh, detached=False),
            on_event=lambda sentence: click.echo(f"  {sentence}", err=True),
            on_stopping=lambda: click.echo("Stopping ...", err=True),
        )
    )


def show(mesh: RunningMesh, *, detached: bool) -> None:
    from meshtrail.local.applications import application

    app = application(mesh.application)
    name = "" if mesh.name == DEFAULT_NAME else f" --name {mesh.name}"
    for warning in mesh.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{mesh.application} is up.")
    click.echo(f"  gateway    {mesh.gateway}/")
    click.echo(f"  Jaeger API {mesh.jaeger}/api/traces")
    click.echo(f"  OTLP       {mesh.otlp_grpc} (gRPC), {mesh.otlp_http} (HTTP)")
    click.echo(f"  Zipkin     {mesh.zipkin}/api/v2/spans")
    click.echo("Next:")
    click.echo(f"  curl {mesh.gateway}{app.path}")
    click.echo(f"  {program()} trace{name}")
    if app.breaks:
        click.echo(f"  {program()} propagation {app.breaks} none{name}")
    click.echo(f"  {program()} down{name}" if detached else "  Ctrl-C ends it; edits of the manifests go live at once.")
