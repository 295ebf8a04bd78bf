"""`meshtrail status`: addresses and processes of a running mesh, or the application on a cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from meshtrail.cli.options import name_option
from meshtrail.cli.where import target_options

if TYPE_CHECKING:
    from meshtrail.cluster.session import Where
    from meshtrail.cluster.status import Address, ClusterStatus
    from meshtrail.local.state import RunningMesh

COLUMNS = ("name", "kind", "pid", "address", "state", "restarts")


@click.command(name="status")
@target_options()
@name_option
@click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable: see docs/local-mesh.md, on a cluster docs/cluster.md."
)
def command(name: str, as_json: bool, where: Where | None) -> int:
    """Show addresses and processes of a running mesh; on a cluster its workloads and pods.

    Exit status 1 when something is not ready, the last edit was refused, or no mesh runs.
    """
    if where is not None:
        return _on_cluster(where, as_json)
    from meshtrail.local import control, state

    mesh = state.RunningMesh.from_json(control.call(state.load(name), "GET", "/status", within=5.0))
    if as_json:
        click.echo(json.dumps(mesh.as_json(), indent=2))
    else:
        show(mesh)
    return 0 if mesh.ready and not mesh.problems else 1


def show(mesh: RunningMesh) -> None:
    click.echo(f"{mesh.application} ({mesh.name}), pid {mesh.pid}, {'ready' if mesh.ready else 'NOT READY'}")
    click.echo(f"  gateway {mesh.gateway}  jaeger {mesh.jaeger}")
    click.echo(f"  otlp {mesh.otlp_grpc} (gRPC) {mesh.otlp_http}  zipkin {mesh.zipkin}")
    rows = [COLUMNS]
    for process in mesh.processes:
        pid = str(process.pid or "-")
        row = (process.name, process.kind, pid, process.address or "-", process.state, str(process.restarts))
        rows.append(row)
    _table(rows)
    click.echo(f"  logs: {mesh.logs}/<name>.log")
    if mesh.problems:
        click.echo("The last edit was refused, the last good configuration stays:")
        for problem in mesh.problems:
            click.echo(f"  {problem}")


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _on_cluster(where: Where, as_json: bool) -> int:
    from meshtrail.cluster.session import opened
    from meshtrail.cluster.status import look

    with opened(where) as session:
        found = look(session)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        show_cluster(found)
    return 0 if found.ready else 1


def show_cluster(found: ClusterStatus) -> None:
    click.echo(
        f"{found.namespace} on {found.context}, {'ready' if found.ready else 'NOT READY'}"
        f" (Kubernetes {found.kubernetes.removeprefix('v')}, Istio {found.istio or 'not found'})"
    )
    click.echo(f"  gateway {_address(found.gateway)}")
    click.echo(f"  jaeger  {_address(found.jaeger)}")
    workloads = [("workload", "ready", "version", "form", "image")]
    for one in found.workloads:
        workloads.append((one.name, f"{one.ready}/{one.replicas}", one.version or "-", one.form or "-", one.image))
    _table(workloads)
    pods = [("pod", "ready", "state", "restarts", "sidecar", "switch")]
    for pod in found.pods:
        ready = f"{pod.ready}/{pod.containers}"
        pods.append(
            (pod.name, ready, pod.phase, str(pod.restarts), pod.sidecar or "none", "yes" if pod.switch else "no")
        )
    _table(pods)


def _address(found: Address) -> str:
    if found.problem:
        return f"none: {found.problem}"
    how = f"{found.service}, {found.via}" + (f", Host {found.host}" if found.host else "")
    return f"{found.url} ({how})" if found.url else f"{how}: {found.command}"
