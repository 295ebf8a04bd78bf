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
    """Take the objects in manifests away from a running mesh, as kubectl does; answers when they are gone.

    What an object was before `apply` changed it does not come back. Exit status 2 when one of them is not there;
    then nothing has changed.
    """
    send("/delete", request, name)
