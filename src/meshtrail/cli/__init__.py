"""The command line: one module a command, imported only when that command is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from meshtrail import __version__
from meshtrail.errors import MeshtrailError

# name -> (module, one line for `meshtrail --help`). The command is the attribute `command` of the module.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("meshtrail.cli.demo", "Start a mesh, send requests, draw the trace."),
    "up": ("meshtrail.cli.up", "Start an application on a local mesh of real Envoy sidecars."),
    "down": ("meshtrail.cli.down", "Stop a detached mesh."),
    "status": ("meshtrail.cli.status", "Show addresses and processes of a running mesh."),
    "load": ("meshtrail.cli.load", "Send requests, bounded in rate, time and count."),
    "verify": ("meshtrail.cli.verify", "Check that a mesh gives complete traces; for scripts."),
    "trace": ("meshtrail.cli.trace", "Draw traces in the terminal."),
    "doctor": ("meshtrail.cli.doctor", "Say what is wrong with the tracing of a mesh, and who is to blame."),
    "lint": ("meshtrail.cli.lint", "Say what in manifests will break tracing, before they are deployed."),
    "preflight": ("meshtrail.cli.preflight", "Check what a cluster needs for whole traces."),
    "propagation": ("meshtrail.cli.propagation", "Show or switch header propagation of a service."),
    "apply": ("meshtrail.cli.apply", "Lay manifests over a running mesh."),
    "delete": ("meshtrail.cli.delete", "Take manifests away from a running mesh."),
    "config": ("meshtrail.cli.config", "Print the Envoy configuration generated for a proxy."),
    "render": ("meshtrail.cli.render", "Write what is generated from the manifests (docker-compose's sidecars)."),
    "exercise": ("meshtrail.cli.exercise", "Exercises that check themselves."),
    "workshop": ("meshtrail.cli.workshop", "For trainers: printable handouts, a dry run of everything."),
    "completion": ("meshtrail.cli.completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when it is called, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


EPILOG = """Exit status: 0 success; 1 the mesh or trace is not as it should be; 2 wrong arguments, manifests or
environment; 130 interrupted before the work was done."""


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="meshtrail")
def group() -> None:
    """End-to-end tracing in a service mesh, as something you can run, break and repair."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit; a MeshtrailError is printed without a traceback."""
    try:
        status: Any = group.main(argv, prog_name="meshtrail", standalone_mode=False)
    except MeshtrailError as error:
        click.secho(f"error: {error}", err=True, fg=None if os.environ.get("NO_COLOR") else "red")
        sys.exit(error.exit_status)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(status if isinstance(status, int) else 0)
