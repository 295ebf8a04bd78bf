"""`meshtrail exercise`: exercises that check themselves, on the local mesh or a cluster."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshtrail.cli.options import PORTS_VARIABLE, name_option
from meshtrail.cli.where import target_options

if TYPE_CHECKING:
    from meshtrail.cluster.session import Where
    from meshtrail.exercises.catalog import Exercise
    from meshtrail.exercises.phrases import Phrases
    from meshtrail.exercises.place import Place
    from meshtrail.exercises.said import Said

EPILOG = """N is an exercise's number or name. Exit status of `check`: 0 everything is done; 1 something is missing or
wrong; 2 it could not look."""


def language_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--language`; the command gets `phrases`."""

    @functools.wraps(command)
    def wrapped(language: str | None, **others: Any) -> Any:
        from meshtrail.exercises.phrases import Phrases, chosen

        return command(phrases=Phrases(language or chosen(dict(os.environ))), **others)

    return click.option(
        "--language",
        type=click.Choice(["en", "ru"]),
        envvar="MESHTRAIL_LANGUAGE",
        help="Of the texts (default: the one of LC_ALL or LANG, else English).",
    )(wrapped)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where and in which language; the command gets `open_place`, a context manager, and `phrases`."""

    @functools.wraps(command)
    def wrapped(where: Where | None, name: str, phrases: Phrases, **others: Any) -> Any:
        return command(open_place=functools.partial(opened, where, name, phrases), phrases=phrases, **others)

    return target_options()(name_option(language_option(wrapped)))


@contextmanager
def opened(where: Where | None, name: str, phrases: Phrases) -> Iterator[Place]:
    from meshtrail.exercises.local import LocalPlace

    if where is None:
        yield LocalPlace(name, auto_ports=os.environ.get(PORTS_VARIABLE) == "auto", root=root(), phrases=phrases)
        return
    from meshtrail.exercises.cluster import ClusterPlace

    with ClusterPlace(where, root=root(), phrases=phrases) as place:
        yield place


def root() -> Path:
    from meshtrail.local.applications import find_repository

    return find_repository()


def find(wanted: str) -> Exercise:
    from meshtrail.exercises.catalog import exercise

    return exercise(root(), wanted)


def say(sentence: str) -> None:
    click.echo(sentence, err=True)


@click.group(name="exercise", epilog=EPILOG)
def command() -> None:
    """Exercises that check themselves: a broken mesh, a page, a check that says what is still missing."""


@command.command(name="list")
@place_options
def list_command(open_place: Callable[[], Any], phrases: Phrases) -> None:
    """Show all exercises, with what is started and solved."""
    from meshtrail.exercises import progress
    from meshtrail.exercises.catalog import exercises

    with open_place() as place:
        kept = progress.read(place.key)
    rows = []
    for one in exercises(root()):
        settings = one.settings
        states = ["is_started"] if kept.current is not None and kept.current.exercise == one.id else []
        states += ["is_solved"] if one.id in kept.solved else []
        rows.append(
            (
                str(one.number),
                settings.title[phrases.language],
                phrases("minutes", minutes=settings.minutes),
                ", ".join(settings.targets),
                ", ".join(phrases(state) for state in states),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@command.command(name="start")
@click.argument("exercise", metavar="N")
@click.argument("case", required=False, default="")
@place_options
def start_command(exercise: str, case: str, open_place: Callable[[], Any], phrases: Phrases) -> None:
    """Set the scene of exercise N, of its CASE when it has several; the one that is started is reset first."""
    from meshtrail.exercises.engine import start
    from meshtrail.exercises.pages import FILES

    found = find(exercise)
    with open_place() as place:
        begun = start(found, case, place, say=say, phrases=phrases)
    click.echo(phrases("started", title=f"{found.number}. {begun.title[phrases.language]}"))
    click.echo(phrases("page", path=os.path.relpath(found.folder / FILES[phrases.language])))
    click.echo(phrases("next", number=found.number))


@command.command(name="check")
@click.argument("exercise", metavar="N")
@click.option("--answer", metavar="TEXT", help="What the page asks to name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: solved, and code, state, text, look of each thing.")
@place_options
def check_command(
    exercise: str, answer: str | None, as_json: bool, open_place: Callable[[], Any], phrases: Phrases
) -> int:
    """Look whether exercise N is solved; say what was seen, what is missing and where to look."""
    from meshtrail.exercises.engine import check, solved

    found = find(exercise)
    with open_place() as place:
        said = check(found, place, language=phrases.language, answer=answer)
    if as_json:
        click.echo(json.dumps(as_plain(found, said, phrases.language), indent=2, ensure_ascii=False))
    else:
        show(found, said, phrases)
    return 0 if solved(said) else 1


def as_plain(exercise: Exercise, said: Sequence[Said], language: str) -> Mapping[str, Any]:
    from meshtrail.exercises.engine import solved
    from meshtrail.exercises.words import sentence

    things = []
    for one in said:
        text, look = sentence(exercise.words, one, language)
        things.append({"code": one.code, "state": one.state, "text": text, "look": look})
    return {"version": 1, "exercise": exercise.id, "solved": solved(said), "said": things}


def show(exercise: Exercise, said: Sequence[Said], phrases: Phrases) -> None:
    from meshtrail.exercises.engine import solved
    from meshtrail.exercises.words import sentence

    width = max(len(phrases(state)) for state in ("done", "missing", "wrong"))
    for one in said:
        text, look = sentence(exercise.words, one, phrases.language)
        click.echo(f"{phrases(one.state).ljust(width)}  {text}")
        if look:
            click.echo(f"{' ' * width}  {phrases('look')}: {look}")
    click.echo(phrases("solved" if solved(said) else "open"))


@command.command(name="hint")
@click.argument("exercise", metavar="N")
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.option("--again", is_flag=True, help="The last one that was given, once more.")
@place_options
def hint_command(exercise: str, every: bool, again: bool, open_place: Callable[[], Any], phrases: Phrases) -> None:
    """Give the next hint of exercise N; each time a clearer one."""
    from meshtrail.exercises import progress

    found = find(exercise)
    hints = found.page(phrases.language).hints
    with open_place() as place:
        kept = progress.read(place.key)
        given = kept.hints.get(found.id, 0)
        if every:
            shown = range(1, len(hints) + 1)
        else:
            number = max(1, min(given if again else given + 1, len(hints)))
            shown = range(number, number + 1)
        progress.write(place.key, kept.with_hints(found.id, max(given, shown[-1])))
    for number in shown:
        click.echo(f"{phrases('hint', number=number, count=len(hints))}: {hints[number - 1]}")
    if shown[-1] == len(hints):
        click.echo(phrases("last_hint", number=found.number))


@command.command(name="solve")
@click.argument("exercise", metavar="N")
@place_options
def solve_command(exercise: str, open_place: Callable[[], Any], phrases: Phrases) -> int:
    """Carry out the solution of exercise N as its page has it. Exit status 1 when a command of it fails."""
    from meshtrail.exercises.engine import solve

    found = find(exercise)
    with open_place() as place:
        environment = {"MESHTRAIL_LANGUAGE": phrases.language}
        for ran in solve(found, place, language=phrases.language, root=root(), environment=environment):
            for line in ran.block.commands.splitlines():
                click.echo(f"$ {line}")
            click.echo(ran.output, nl=not ran.output.endswith("\n"))
            if not ran.ok:
                return 1
    return 0


@command.command(name="reset")
@place_options
def reset_command(open_place: Callable[[], Any], phrases: Phrases) -> None:
    """Give everything back that the started exercise changed."""
    from meshtrail.exercises.engine import reset

    with open_place() as place:
        done = reset(place, say=say)
    click.echo(phrases("nothing") if done is None else phrases("reset", title=done))
