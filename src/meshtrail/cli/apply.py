"""`meshtrail apply`: lay manifests over a running mesh, or over the application on a cluster."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from meshtrail.cli.options import manifest_options, name_option

if TYPE_CHECKING:
    from meshtrail.cluster.kubectl import Kubectl


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--target` and `--context`; the command gets `on_cluster`, None for the local mesh, else (context, namespace)."""

    @functools.wraps(command)
    def wrapped(target: str, context: str | None, request: dict[str, Any], **others: Any) -> Any:
        from meshtrail.cluster.application import DEFAULT_NAMESPACE

        if target == "local":
            if click.get_current_context().get_parameter_source("context") is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError("--context: only with --target cluster")
            return command(request=request, on_cluster=None, **others)
        namespace = request["namespace"] or os.environ.get("MESHTRAIL_NAMESPACE") or DEFAULT_NAMESPACE
        return command(request=request, on_cluster=(context, namespace), **others)

    decorators = [
        click.option(
            "--target", type=click.Choice(["local", "cluster"]), default="local", envvar="MESHTRAIL_TARGET",
            show_default=True, help="The local mesh, or a cluster that kubectl knows.",
        ),
        click.option(
            "--context", envvar="MESHTRAIL_CONTEXT", metavar="C",
            help="Cluster: kubectl's context (default: its current one).",
        ),
    ]  # fmt: skip
    result: Callable[..., Any] = wrapped
    for decorator in reversed(decorators):
        result = decorator(result)
    return result


@click.command(name="apply")
@manifest_options
@place_options
@name_option
def command(request: dict[str, Any], name: str, on_cluster: tuple[str | None, str] | None) -> None:
    """Lay manifests over a running mesh, as kubectl does; answers when they are live.

    On a cluster kubectl does it: what is in no namespace, or in meshtrail, goes to the application's. Exit status 2
    when they cannot be carried out; then nothing has changed.
    """
    if on_cluster is None:
        send("/apply", request, name)
    else:
        from meshtrail.cluster.applying import apply

        kubectl_send(apply, request, on_cluster)


def send(path: str, request: dict[str, Any], name: str) -> None:
    from meshtrail.local import control, state

    answer = control.call(state.load(name), "POST", path, request)
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    for change in answer["changes"]:
        click.echo(change)


def kubectl_send(
    verb: Callable[[Kubectl, Sequence[Any]], list[str]], request: dict[str, Any], on_cluster: tuple[str | None, str]
) -> None:
    from meshtrail.cluster.applying import read
    from meshtrail.cluster.kubectl import connect

    context, namespace = on_cluster
    kubectl = connect(context)
    for line in verb(kubectl, read(kubectl, request["documents"], namespace)):
        click.echo(line)
