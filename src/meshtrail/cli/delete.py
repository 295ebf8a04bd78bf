"""`meshtrail delete`: take manifests away from a running mesh, or from the application on a cluster."""

from __future__ import annotations

from typing import Any

import click

from meshtrail.cli.apply import kubectl_send, place_options, send
from meshtrail.cli.options import manifest_options, name_option


@click.command(name="delete")
@manifest_options
@place_options
@name_option
def command(request: dict[str, Any], name: str, on_cluster: tuple[str | None, str] | None) -> None:
    """Take manifests away from a running mesh again; answers when that is live.

    An object that was laid over one of the application's own files goes back to what the file says; any other is gone,
    as with kubectl, and on a cluster each is. Exit status 2 when one of them is not there; then nothing has changed.
    """
    if on_cluster is None:
        send("/delete", request, name)
    else:
        from meshtrail.cluster.applying import delete

        kubectl_send(delete, request, on_cluster)
