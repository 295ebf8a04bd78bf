"""`meshtrail delete`: take manifests away from a running mesh."""

from __future__ import annotations

from typing import Any

import click

from meshtrail.cli.apply import send
from meshtrail.cli.options import manifest_options, name_option


@click.command(name="delete")
@manifest_options
@name_option
def command(request: dict[str, Any], name: str) -> None:
    """Take manifests away from a running mesh again; answers when that is live.

    An object that was laid over one of the application's own files goes back to what the file says; any other is gone,
    as with kubectl. Exit status 2 when one of them is not there; then nothing has changed.
    """
    send("/delete", request, name)
