"""`meshtrail propagation`: which headers each service forwards, and the switch."""

from __future__ import annotations

from urllib.parse import quote

import click

from meshtrail.cli.options import name_option


@click.command(name="propagation")
@click.argument("service", required=False)
@click.argument("mode", required=False)
@name_option
def command(service: str | None, mode: str | None, name: str) -> None:
    """Show which tracing headers each service forwards, or switch SERVICE to MODE.

    MODE is all, b3, w3c or none; it takes effect on the next request and lasts until it is set again.
    """
    from meshtrail.errors import MeshtrailError
    from meshtrail.local import control, state

    mesh = state.load(name)
    if service is not None and mode is not None:
        found = control.call(mesh, "PUT", f"/propagation/{quote(service, safe='')}", {"mode": mode})["services"]
    else:
        found = control.call(mesh, "GET", "/propagation")["services"]
        if service is not None:
            if service not in found:
                raise MeshtrailError(
                    f"no service '{service}' with a propagation switch", mend=f"there are: {', '.join(found) or 'none'}"
                )
            found = {service: found[service]}
    width = max((len(key) for key in found), default=0)
    for key, value in found.items():
        click.echo(f"{key.ljust(width)}  {value}")
