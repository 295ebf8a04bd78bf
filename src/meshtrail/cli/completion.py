"""`meshtrail completion`: the script that teaches a shell to complete meshtrail's commands."""

from __future__ import annotations

import click

EPILOG = """\b
bash: eval "$(meshtrail completion bash)"     in ~/.bashrc (bash 4.4 or newer)
zsh:  eval "$(meshtrail completion zsh)"      in ~/.zshrc
fish: meshtrail completion fish > ~/.config/fish/completions/meshtrail.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL."""
    from click.shell_completion import get_completion_class

    from meshtrail.cli import group

    complete = get_completion_class(shell)
    assert complete is not None
    script = complete(group, {}, "meshtrail", "_MESHTRAIL_COMPLETE")
    # Not `source()`: that starts bash to ask its version, and is for the machine that will run the script anyway.
    click.echo(script.source_template % script.source_vars())
