"""`meshtrail propagation`: which headers each service forwards, and the switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from meshtrail.cli.options import name_option
from meshtrail.cli.where import cluster, target_options

if TYPE_CHECKING:
    from meshtrail.cluster.session import Where


@click.command(name="propagation")
@click.argument("service", required=False)
@click.argument("mode", required=False)
@target_options()
@name_option
def command(service: str | None, mode: str | None, name: str, where: Where | None) -> None:
    """Show which tracing headers each service forwards, or switch SERVICE to MODE.

    MODE is all, b3, w3c or none; it takes effect on the next request and lasts until it is set again, on a cluster
    until the pod is replaced. There all pods of a service are switched, or none.
    """
    found = _local(service, mode, name) if where is None else _on_cluster(service, mode, where)
    width = max((len(key) for key in found), default=0)
    for key, value in found.items():
        click.echo(f"{key.ljust(width)}  {value}")


def _local(service: str | None, mode: str | None, name: str) -> dict[str, str]:
    from meshtrail.errors import MeshtrailError
    from meshtrail.local import control, state

    mesh = state.load(name)
    found: dict[str, str]
    if service is not None and mode is not None:
        found = control.call(mesh, "PUT", f"/propagation/{quote(service, safe='')}", {"mode": mode})["services"]
        return found
    found = control.call(mesh, "GET", f"/propagation/{quote(service, safe='')}" if service else "/propagation")[
        "services"
    ]
    if service is not None and not found:
        raise MeshtrailError(f"{service} has no propagation switch", mend="see `meshtrail propagation`")
    return found


def _on_cluster(service: str | None, mode: str | None, where: Where) -> dict[str, str]:
    from meshtrail.cluster import propagation

    with cluster(where) as session:
        if service is not None and mode is not None:
            found = propagation.switch(session, service, mode)
        else:
            found = propagation.show(session, service)
    return {name: _together(modes) for name, modes in found.items()}


def _together(modes: Mapping[str, str]) -> str:
    """`none`, `none (2 pods)`, or pod by pod when they differ."""
    distinct = set(modes.values())
    if len(distinct) == 1:
        return distinct.pop() + (f" ({len(modes)} pods)" if len(modes) > 1 else "")
    return ", ".join(f"{mode} ({pod})" for pod, mode in modes.items())
