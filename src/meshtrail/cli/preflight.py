"""`meshtrail preflight`: what must be there on a cluster for whole traces, each with the command that mends it."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING

import click

from meshtrail.cli.where import cluster_options

if TYPE_CHECKING:
    from meshtrail.cluster.preflight.findings import Finding
    from meshtrail.cluster.session import Where

VERSION = 1
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}

EPILOG = """Exit status: 0 nothing fails (warnings may be there); 1 something fails; 2 could not look."""


@click.command(name="preflight", epilog=EPILOG)
@cluster_options
@click.option(
    "--stage",
    type=click.Choice(["before-deploy", "deployed"]),
    default="deployed",
    show_default=True,
    help="before-deploy: only what must be there before the application is.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable; docs/cluster.md describes it.")
def command(where: Where, stage: str, as_json: bool) -> int:
    """Check a cluster: Istio, injection, ports, gateway, tracing provider, sampling, Jaeger.

    Each line says what was seen and, if something is wrong, the command that mends it. Changes nothing.
    """
    from meshtrail.cluster.preflight.run import preflight
    from meshtrail.cluster.session import opened

    with opened(where, application_needed=False) as session:
        findings = preflight(session, "before-deploy" if stage == "before-deploy" else "deployed")
        if where.context:
            # A command that mends shall mend this cluster, not kubectl's current one.
            named = f"kubectl --context {where.context} "
            unnamed = re.compile(r"kubectl (?!--context )")
            findings = [dataclasses.replace(one, mend=unnamed.sub(lambda _: named, one.mend)) for one in findings]
        context = session.snapshot.context
    failed = any(finding.level == "fail" for finding in findings)
    if as_json:
        report = {
            "version": VERSION,
            "context": context,
            "namespace": where.namespace,
            "stage": stage,
            "ok": not failed,
            "findings": [dataclasses.asdict(finding) for finding in findings],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        show(findings, where.namespace)
    return 1 if failed else 0


def show(findings: list[Finding], namespace: str) -> None:
    import os

    plain = bool(os.environ.get("NO_COLOR"))
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        level = click.style(f"{finding.level:4}", fg=None if plain else COLOURS[finding.level])
        click.echo(f"{level}  {finding.check:{width}}  {finding.seen}")
        if finding.mend:
            click.echo(f"{'':{width + 8}}mend: {finding.mend}")
    counts = {level: sum(finding.level == level for finding in findings) for level in ("fail", "warn")}
    words = [
        f"{count} {word}" for (_, count), word in zip(counts.items(), ("to mend", "to know"), strict=True) if count
    ]
    click.echo(f"namespace {namespace}: {', '.join(words) or 'everything is there'}")
