"""Starting, checking, solving and resetting an exercise at a place."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from meshtrail.errors import MeshtrailError
from meshtrail.exercises import progress as kept
from meshtrail.exercises.blocks import Ran, run
from meshtrail.exercises.catalog import Exercise
from meshtrail.exercises.phrases import Phrases
from meshtrail.exercises.place import Before, Place, Say
from meshtrail.exercises.progress import Current
from meshtrail.exercises.room import Room
from meshtrail.exercises.said import Said
from meshtrail.exercises.settings import Case
from meshtrail.exercises.touching import touched
from meshtrail.reading.jaeger import JaegerClient


class NotStartedError(MeshtrailError):
    """The exercise is not the one that is started."""


def start(exercise: Exercise, case_name: str, place: Place, *, say: Say, phrases: Phrases) -> Case:
    """Set the scene; an exercise that is started there is reset first. Gives the case that was started."""
    case = exercise.settings.case(case_name)
    if place.target not in case.targets:
        what = f"case {case.name} of exercise {exercise.number}" if case.name else f"exercise {exercise.number}"
        raise MeshtrailError(
            f"{what} is not for --target {place.target}",
            mend=f"take --target {' or '.join(case.targets)}",
        )
    progress = kept.read(place.key)
    inherited: Before | None = None
    if progress.current is not None:
        say(phrases("before", title=progress.current.exercise))
        inherited = progress.current.before
        place.give_back(inherited, say, lasting=False)

    def remember(before: Before) -> None:
        current = Current(exercise.id, case.name, before)
        kept.write(place.key, dataclasses.replace(progress, current=current))

    place.prepare(case, touched(exercise), remember, say, inherited)
    place.lay(exercise.folder, case.scene, say)
    prepared = kept.read(place.key)
    assert prepared.current is not None
    since_us = place.now_us()
    current = dataclasses.replace(prepared.current, ready=True, since_us=since_us)
    kept.write(place.key, dataclasses.replace(prepared, current=current))
    return case


def reset(place: Place, *, say: Say) -> str | None:
    """Give everything back; the folder's name of the exercise that was reset, None when none was started."""
    progress = kept.read(place.key)
    if progress.current is None:
        return None
    place.give_back(progress.current.before, say, lasting=True)
    kept.write(place.key, dataclasses.replace(progress, current=None))
    return progress.current.exercise


def started(exercise: Exercise, place: Place) -> Current:
    """Raises NotStartedError when another exercise, or none, is started at the place."""
    current = kept.read(place.key).current
    call = f"meshtrail exercise start {exercise.number}"
    if current is None:
        raise NotStartedError(f"exercise {exercise.number} is not started", mend=call)
    if current.exercise != exercise.id:
        raise NotStartedError(f"exercise {exercise.number} is not started, {current.exercise} is", mend=call)
    if not current.ready:
        raise NotStartedError(f"the start of exercise {exercise.number} was interrupted", mend=f"again: {call}")
    return current


def check(exercise: Exercise, place: Place, *, language: str, answer: str | None) -> tuple[Said, ...]:
    """What the exercise's check says; remembers that it is solved when everything is done.

    An answer holds until another one is given. Raises MeshtrailError with exit status 2 when it cannot look.
    """
    current = started(exercise, place)
    if answer is not None:
        current = dataclasses.replace(current, answer=answer)
        kept.write(place.key, dataclasses.replace(kept.read(place.key), current=current))
    try:
        with JaegerClient(place.jaeger) as jaeger:
            room = Room(
                place,
                jaeger,
                case=current.case,
                language=language,
                answer=current.answer,
                since_us=current.since_us,
            )
            said = tuple(exercise.check()(room))
    except MeshtrailError as error:
        # 1 means that something is missing.
        raise MeshtrailError(error.message, mend=error.mend) from error
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise MeshtrailError(
            f"the check of exercise {exercise.number} broke off at {where.filename}:{where.lineno}: {error!r}",
            mend="the fault is the check's, not yours: report it with this line",
        ) from error
    if solved(said):
        kept.write(place.key, kept.read(place.key).with_solved(exercise.id))
    return said


def solved(said: Sequence[Said]) -> bool:
    return bool(said) and all(one.state == "done" for one in said)


def solve(exercise: Exercise, place: Place, *, language: str, root: Path, environment: dict[str, str]) -> Iterator[Ran]:
    """Carry out the blocks of the solution, until one does not end as it says."""
    current = started(exercise, place)
    for block in exercise.page(language).of("solution", place.target, current.case):
        ran = run(block, root=root, environment={**environment, **place.environment})
        yield ran
        if not ran.ok:
            return
