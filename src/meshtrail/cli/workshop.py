"""`meshtrail workshop`: handouts, and a dry run that says whether the room is ready."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshtrail.cli.exercise import language_option, place_options, root
from meshtrail.cli.options import PORTS_VARIABLE

if TYPE_CHECKING:
    from meshtrail.exercises.catalog import Exercise
    from meshtrail.exercises.phrases import Phrases
    from meshtrail.exercises.place import Place
    from meshtrail.exercises.rehearsal import Line


@click.group(name="workshop")
def command() -> None:
    """For trainers: printable handouts, and a dry run of everything."""


@command.command(name="handouts")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder for the pages.",
)
@click.option("--trainer", is_flag=True, help="With wrong turns, hints, solution and the reasons.")
@language_option
def handouts_command(out: Path, trainer: bool, phrases: Phrases) -> None:
    """Write one printable page for each exercise, and an index. They need no network and no script."""
    from meshtrail.errors import MeshtrailError
    from meshtrail.exercises.catalog import exercises
    from meshtrail.exercises.handout import handout, index, name_of

    known = exercises(root())
    try:
        out.mkdir(parents=True, exist_ok=True)
        for one in known:
            (out / name_of(one)).write_text(handout(one, phrases.language, trainer=trainer), encoding="utf-8")
        (out / "index.html").write_text(index(known, phrases.language), encoding="utf-8")
    except OSError as error:
        raise MeshtrailError(f"--out {out}: {error.strerror}", mend="name a folder that can be written") from None
    click.echo(f"{len(known)} handouts: {out / 'index.html'}")


@command.command(name="rehearse")
@click.argument("exercise", nargs=-1, metavar="[N]...")
@place_options
def rehearse_command(exercise: tuple[str, ...], open_place: Callable[[], Any], phrases: Phrases) -> int:
    """Look at what the room needs, then solve every exercise (or those named) by its page's own commands.

    Exit status 0: the room is ready. What is solved and started by the participant stays as it is.
    """
    from meshtrail.exercises.catalog import exercise as found
    from meshtrail.exercises.catalog import exercises
    from meshtrail.exercises.rehearsal import exercises as rehearsed

    wanted = [found(root(), one) for one in exercise] or exercises(root())
    failed: list[str] = []
    total = 0.0
    with open_place() as place, as_it_was(place):
        for line in environment(place, wanted):
            show(line)
            failed += [line.what] if line.level == "fail" else []
        if not failed:
            for line in rehearsed(wanted, place, root=root(), phrases=phrases, announce=lambda _: None):
                show(line)
                total += line.seconds or 0.0
                failed += [line.what] if line.level == "fail" else []
    if failed:
        click.echo(f"not ready: {', '.join(failed)}")
        return 1
    click.echo(f"The room is ready: {len(wanted)} exercises solved in {total:.0f} s.")
    return 0


@contextmanager
def as_it_was(place: Place) -> Iterator[None]:
    """A local mesh that did not run before does not run afterwards."""
    from meshtrail.local import session, state

    if place.target != "local":
        yield
        return
    name = place.environment["MESHTRAIL_NAME"]
    before = {mesh.name for mesh in state.running()}
    try:
        yield
    finally:
        for mesh in state.running():
            if mesh.name == name and name not in before:
                session.stop(mesh)


def environment(place: Place, wanted: Sequence[Exercise]) -> Iterator[Line]:
    from meshtrail.exercises.cluster import ClusterPlace

    if isinstance(place, ClusterPlace):
        from meshtrail.exercises.rehearsal_cluster import cluster

        yield from cluster(place.where, wanted)
        return
    from meshtrail.exercises.rehearsal import machine

    name = place.environment["MESHTRAIL_NAME"]
    yield from machine(name, auto_ports=os.environ.get(PORTS_VARIABLE) == "auto")


def show(line: Line) -> None:
    seconds = "" if line.seconds is None else f"{line.seconds:6.1f} s  "
    click.echo(f"{line.level.ljust(4)}  {line.what.ljust(28)}  {seconds}{line.text}")
    if line.mend:
        click.echo(f"      mend: {line.mend}")
