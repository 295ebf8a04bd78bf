"""Where a command works: on the local mesh, or on a cluster that kubectl knows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from meshtrail.cluster.session import Session, Where

Command = TypeVar("Command", bound=Callable[..., Any])

CLUSTER_OPTIONS = ("context", "namespace", "port_forward")


def cluster_options(command: Command) -> Command:
    """`--context`, `--namespace` and `--port-forward`; the command gets `where` (Where)."""

    @functools.wraps(command)
    def wrapped(context: str | None, namespace: str, port_forward: bool, **others: Any) -> Any:
        from meshtrail.cluster.session import Where

        return command(where=Where(context, namespace, port_forward), **others)

    return _add_cluster_options(wrapped)  # type: ignore[return-value]


def target_options(*, only_local: Iterable[str] = ("name",)) -> Callable[[Command], Command]:
    """`--target` besides; the command gets `where`, None for the local mesh.

    `only_local` are parameters that mean nothing on a cluster: given there, they are refused, not ignored.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapped(target: str, context: str | None, namespace: str, port_forward: bool, **others: Any) -> Any:
            from meshtrail.cluster.session import Where

            if target == "local":
                _refuse(CLUSTER_OPTIONS, "only with --target cluster")
                return command(where=None, **others)
            _refuse(only_local, "only with --target local")
            return command(where=Where(context, namespace, port_forward), **others)

        option = click.option(
            "--target",
            type=click.Choice(["local", "cluster"]),
            default="local",
            envvar="MESHTRAIL_TARGET",
            show_default=True,
            help="The local mesh, or a cluster that kubectl knows.",
        )
        return option(_add_cluster_options(wrapped))  # type: ignore[return-value]

    return decorate


def _add_cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    decorators = [
        click.option(
            "--context",
            envvar="MESHTRAIL_CONTEXT",
            metavar="C",
            help="Cluster: kubectl's context (default: its current one).",
        ),
        click.option(
            "--namespace",
            default="meshtrail",
            envvar="MESHTRAIL_NAMESPACE",
            metavar="N",
            help="Cluster: where the application is (default: meshtrail).",
        ),
        click.option(
            "--port-forward",
            is_flag=True,
            envvar="MESHTRAIL_PORT_FORWARD",
            help="Cluster: take no other way than kubectl port-forward.",
        ),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def _refuse(parameters: Iterable[str], reason: str) -> None:
    """Raise click.UsageError for the first of the parameters that stands on the command line."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if name in parameters and given:
            raise click.UsageError(f"{parameter.get_error_hint(context)}: {reason}", context)


@contextmanager
def cluster(where: Where) -> Iterator[Session]:
    """The cluster for the time of a command; says on standard error which one it is."""
    from meshtrail.cluster.session import opened

    with opened(where) as session:
        click.echo(f"cluster {session.snapshot.context}, namespace {where.namespace}", err=True)
        yield session


def say_waiting(wait_s: float) -> None:
    click.echo(f"waiting {wait_s:g} s for spans that are on their way", err=True)
