"""`meshtrail down`: stop a mesh."""

from __future__ import annotations

import click

from meshtrail.cli.options import name_option


@click.command(name="down")
@name_option
def command(name: str) -> None:
    """Stop a running mesh and wait until every process of it is gone.

    With no such mesh there is nothing to do: exit status 0.
    """
    from meshtrail.local import session, state

    try:
        mesh = state.load(name)
    except state.NoMeshError as error:
        click.echo(error.message)
        return
    session.stop(mesh)
    click.echo(f"{mesh.application} is down; logs stay in {mesh.logs}")
