"""Options that say how to reach a Jaeger: address, login, TLS."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

NEEDS_JAEGER = ("user", "token", "headers", "ca_file", "cert", "key", "insecure")
"""The parameters that mean nothing without `--jaeger`."""


def jaeger_options(command: Command) -> Command:
    """`--jaeger` and what goes with it; the command gets `access` (Access), None without an address.

    Each may come from the environment, `MESHTRAIL_JAEGER_...`: what stands on a command line is seen by every user of
    the machine.
    """
    decorators = [
        click.option(
            "--jaeger",
            metavar="URL",
            help="Ask this Jaeger, e.g. http://127.0.0.1:16686, not the running mesh.",
        ),
        click.option("--user", envvar="MESHTRAIL_JAEGER_USER", metavar="U[:P]", help="Jaeger: basic login."),
        click.option("--token", envvar="MESHTRAIL_JAEGER_TOKEN", metavar="T", help="Jaeger: bearer token."),
        click.option(
            "--header",
            "headers",
            multiple=True,
            metavar="K:V",
            help="Jaeger: one more header; may be repeated.",
        ),
        click.option(
            "--ca-file",
            envvar="MESHTRAIL_JAEGER_CA_FILE",
            type=click.Path(path_type=Path),
            metavar="F",
            help="Jaeger: PEM certificate of the authority that signed its own.",
        ),
        click.option(
            "--cert",
            envvar="MESHTRAIL_JAEGER_CERT",
            type=click.Path(path_type=Path),
            metavar="F",
            help="Jaeger: PEM certificate of the client.",
        ),
        click.option(
            "--key",
            envvar="MESHTRAIL_JAEGER_KEY",
            type=click.Path(path_type=Path),
            metavar="F",
            help="Jaeger: its key, if not in the same file.",
        ),
        click.option("--insecure", is_flag=True, help="Jaeger: do not check its certificate."),
    ]

    @functools.wraps(command)
    def wrapped(
        jaeger: str | None,
        user: str | None,
        token: str | None,
        headers: tuple[str, ...],
        ca_file: Path | None,
        cert: Path | None,
        key: Path | None,
        insecure: bool,
        **others: Any,
    ) -> Any:
        if jaeger is None:
            refuse_without_jaeger()
            return command(access=None, **others)
        from meshtrail.reading.access import Access

        access = Access.of(
            jaeger,
            user=user or "",
            token=token or "",
            # One a line; click would take a space for the end of one.
            headers=headers or os.environ.get("MESHTRAIL_JAEGER_HEADER", "").splitlines(),
            ca_file=ca_file,
            cert_file=cert,
            key_file=key,
            insecure=insecure,
        )
        for warning in access.warnings:
            click.echo(f"warning: {warning}", err=True)
        return command(access=access, **others)

    result: Any = wrapped
    for decorator in reversed(decorators):
        result = decorator(result)
    return result  # type: ignore[no-any-return]


def refuse_without_jaeger() -> None:
    """Raise click.UsageError for an option on the command line that says how to reach a Jaeger which is not named."""
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
        if parameter.name in NEEDS_JAEGER and given:
            raise click.UsageError(f"{parameter.get_error_hint(context)}: only with --jaeger URL", context)
