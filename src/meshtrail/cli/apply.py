"""`meshtrail apply`: lay manifests over a running mesh."""

from __future__ import annotations

from typing import Any

import click

from meshtrail.cli.options import manifest_options, name_option


@click.command(name="apply")
@manifest_options
@name_option
def command(request: dict[str, Any], name: str) -> None:
    """Lay manifests over a running mesh, as kubectl does; answers when they are live.

    Exit status 2 when they cannot be carried out; then nothing has changed.
    """
    send("/apply", request, name)


def send(path: str, request: dict[str, Any], name: str) -> None:
    from meshtrail.local import control, state

    answer = control.call(state.load(name), "POST", path, request)
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    for change in answer["changes"]:
        click.echo(change)
