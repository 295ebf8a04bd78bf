"""`meshtrail render compose`: the sidecars' configuration that the compose files mount."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="render")
@click.argument("what", type=click.Choice(["compose"]))
@click.option("--check", is_flag=True, help="Write nothing; exit with status 1 when a file is not up to date.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Where to write (default: compose/)."
)
@click.option(
    "--root", type=click.Path(path_type=Path), metavar="DIR", help="The repository (default: found from here)."
)
def command(what: str, check: bool, output: Path | None, root: Path | None) -> int:
    """Write the Envoy configurations and environments that the compose files mount, from k8s/ and istio/.

    Running sidecars take a change over at once.
    """
    from meshtrail.compose import FOLDER, render, stale, write
    from meshtrail.errors import Warnings
    from meshtrail.local.applications import find_repository
    from meshtrail.local.sources import shown

    repository = find_repository(root)
    folder = shown((output or repository / FOLDER).absolute())
    warnings = Warnings()
    files = render(repository, warnings=warnings)
    for problem in warnings.problems:
        click.echo(f"warning: {problem}", err=True)
    changed = stale(files, folder) if check else write(files, folder)
    for name in changed:
        click.echo(f"{'not up to date' if check else 'written' if name in files else 'removed'}: {folder / name}")
    if check and changed:
        click.echo(f"  mend: meshtrail render {what}", err=True)
        return 1
    click.echo(f"{len(files)} files, {f'{len(changed)} written anew' if changed else 'all up to date'}: {folder}")
    return 0
