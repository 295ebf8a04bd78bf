"""`meshtrail lint`: what in manifests will break tracing, before they are deployed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from meshtrail.lint.run import Report

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}

EPILOG = """Exit status: 0 clean (notes do not count); 1 findings; 2 something could not be read."""


@click.command(name="lint", epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="PATH...", required=True)
@click.option("--json", "form", flag_value="json", help="Machine-readable; docs/lint.md describes it.")
@click.option("--sarif", "form", flag_value="sarif", help="SARIF 2.1.0, for GitHub code scanning and editors.")
@click.option("--github", "form", flag_value="github", help="Annotations of a GitHub workflow.")
def command(paths: tuple[str, ...], form: str | None) -> int:
    """Say what in Kubernetes and Istio manifests will break tracing.

    PATH is a file, a folder (a kustomization is built, else every YAML file and kustomization below it), or - for
    standard input. Paths that are named together are looked at together, so name the mesh configuration too.
    """
    from meshtrail.errors import MeshtrailError
    from meshtrail.lint.run import lint

    report = lint(paths, _stdin)
    if not report.objects and not report.problems:
        raise MeshtrailError(
            f"no Kubernetes object in {', '.join(paths)}", mend="name rendered manifests: YAML with apiVersion and kind"
        )
    _write(report, form)
    for problem in report.problems:
        click.secho(f"error: {problem}", err=True, fg=_colour("error"))
    return report.exit_status


def _stdin() -> str:
    from meshtrail.errors import ManifestError, Problem

    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError([Problem(f"not UTF-8 (byte {error.start})", file="<stdin>")]) from None


def _write(report: Report, form: str | None) -> None:
    from meshtrail.lint.formats import github, json, sarif, text

    if form == "json":
        click.echo(json.dump(report))
    elif form == "sarif":
        click.echo(sarif.dump(report))
    elif form == "github":
        for line in github.lines(report):
            click.echo(line)
        click.echo(text.summary(report), err=True)
    else:
        for level, line in text.lines(report):
            click.secho(line, fg=_colour(level))


def _colour(level: str) -> str | None:
    return None if os.environ.get("NO_COLOR") else COLOURS.get(level)
