"""`meshtrail status`: addresses and processes of a running mesh."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from meshtrail.cli.options import name_option

if TYPE_CHECKING:
    from meshtrail.local.state import RunningMesh

COLUMNS = ("name", "kind", "pid", "address", "state", "restarts")


@click.command(name="status")
@name_option
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: an object, see docs/local-mesh.md.")
def command(name: str, as_json: bool) -> int:
    """Show addresses and processes of a running mesh.

    Exit status 1 when something is not ready, the last edit was refused, or no mesh runs.
    """
    from meshtrail.local import control, state

    mesh = state.RunningMesh.from_json(control.call(state.load(name), "GET", "/status", within=5.0))
    if as_json:
        click.echo(json.dumps(mesh.as_json(), indent=2))
    else:
        show(mesh)
    return 0 if mesh.ready and not mesh.problems else 1


def show(mesh: RunningMesh) -> None:
    click.echo(f"{mesh.application} ({mesh.name}), pid {mesh.pid}, {'ready' if mesh.ready else 'NOT READY'}")
    click.echo(f"  gateway {mesh.gateway}  jaeger {mesh.jaeger}")
    click.echo(f"  otlp {mesh.otlp_grpc} (gRPC) {mesh.otlp_http}  zipkin {mesh.zipkin}")
    rows = [COLUMNS]
    for process in mesh.processes:
        pid = str(process.pid or "-")
        row = (process.name, process.kind, pid, process.address or "-", process.state, str(process.restarts))
        rows.append(row)
    widths = [max(len(row[index]) for row in rows) for index in range(len(COLUMNS))]
    for row in rows:
        click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo(f"  logs: {mesh.logs}/<name>.log")
    if mesh.problems:
        click.echo("The last edit was refused, the last good configuration stays:")
        for problem in mesh.problems:
            click.echo(f"  {problem}")
