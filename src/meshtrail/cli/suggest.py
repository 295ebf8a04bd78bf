"""What to try next with an application that runs, the same here and on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from meshtrail.local.applications import Application

Step = tuple[str, str]
"""A command, and what it does or shows."""


def steps(app: Application, *, curl: str, address: str, call: Callable[[str], str], apply: str) -> list[Step]:
    """`curl` is how to ask the gateway at `address`, a path put behind it; `call` makes a command of ours of its words;
    `apply` lays a folder over, the folder put behind it."""
    result = [(f"{curl} {address}{app.path}", "one more request")]
    result += [(f"{curl} {address}{path}", what) for path, what in app.others]
    result.append((call("trace"), "its trace"))
    if app.breaks:
        result += [
            (call(f"propagation {app.breaks} none"), f"{app.breaks} forgets the headers: the next trace breaks"),
            (call(f"propagation {app.breaks} all"), "and is whole again"),
        ]
    if app.route is not None:
        folder, what = app.route
        result.append((f"{apply} {folder}", what))
    return result


def show(found: Sequence[Step]) -> None:
    width = max(len(command) for command, _ in found)
    for command, what in found:
        click.echo(f"  {command:{width}}  {what}")
