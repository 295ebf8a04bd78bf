"""`meshtrail config`: the Envoy configuration that was generated for a proxy."""

from __future__ import annotations

import json

import click

from meshtrail.cli.options import name_option

PARTS = ("bootstrap", "listeners", "routes", "clusters")


@click.command(name="config")
@click.argument("service")
@click.argument("part", required=False, type=click.Choice(PARTS))
@click.option("--json", "as_json", is_flag=True, help="JSON (the default and only format; kept for scripts).")
@name_option
def command(service: str, part: str | None, as_json: bool, name: str) -> None:
    """Print the Envoy configuration generated for the sidecar of SERVICE, or for `gateway`, as JSON."""
    from urllib.parse import quote

    from meshtrail.local import control, state

    found = control.call(state.load(name), "GET", f"/config/{quote(service, safe='')}")
    shown = found[part] if part else {key: found[key] for key in PARTS}
    click.echo(json.dumps(shown, indent=2))
