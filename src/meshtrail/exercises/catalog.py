"""The exercises of a repository: folders `exercises/NN-name`."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from meshtrail.errors import MeshtrailError
from meshtrail.exercises.pages import FILES, Page, read_page
from meshtrail.exercises.reading import ExerciseError
from meshtrail.exercises.said import Said
from meshtrail.exercises.settings import Settings, read_settings
from meshtrail.exercises.words import Words, read_words

if TYPE_CHECKING:
    from meshtrail.exercises.room import Room

FOLDER = "exercises"
NAME = re.compile(r"(\d\d)-([a-z0-9]+(?:-[a-z0-9]+)*)")

Check = Callable[["Room"], Iterable[Said]]


@dataclass(frozen=True)
class Exercise:
    """`folder` is absolute; its files are read when they are asked for, and raise ExerciseError when they are wrong."""

    number: int
    name: str
    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @cached_property
    def settings(self) -> Settings:
        return read_settings(self.folder / "exercise.yaml")

    @cached_property
    def words(self) -> dict[str, Words]:
        return read_words(self.folder / "words.yaml")

    def page(self, language: str) -> Page:
        return read_page(self.folder / FILES[language], language)

    @property
    def check_file(self) -> Path:
        return self.folder / f"check_{self.number:02d}.py"

    def check(self) -> Check:
        """The function `check` of its check_NN.py."""
        path = self.check_file
        spec = importlib.util.spec_from_file_location(f"meshtrail_check_{self.number:02d}", path)
        if spec is None or spec.loader is None or not path.is_file():
            raise ExerciseError(f"{path}: no such file", mend="each exercise has its check there")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found: Check | None = getattr(module, "check", None)
        if found is None:
            raise ExerciseError(f"{path}: has no function `check(room)`")
        return found


def exercises(root: Path) -> tuple[Exercise, ...]:
    """All exercises of the repository at `root`, by number. Raises ExerciseError when two have one number."""
    found: dict[int, Exercise] = {}
    folder = root / FOLDER
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        named = NAME.fullmatch(path.name)
        if named is None or not (path / "exercise.yaml").is_file():
            continue
        number = int(named[1])
        if number in found:
            raise ExerciseError(f"{path}: exercise {number} is there twice, see {found[number].folder.name}")
        found[number] = Exercise(number, named[2], path.absolute())
    return tuple(found[number] for number in sorted(found))


def exercise(root: Path, wanted: str) -> Exercise:
    """By number (`3`, `03`), name (`break-propagation`) or folder's name. Raises MeshtrailError naming the choices."""
    known = exercises(root)
    for one in known:
        if wanted in (one.id, one.name) or (wanted.isdigit() and int(wanted) == one.number):
            return one
    choices = ", ".join(f"{one.number} {one.name}" for one in known)
    raise MeshtrailError(f"no exercise '{wanted}'", mend=f"take one of: {choices}" if known else f"see {root / FOLDER}")
