"""What a participant has started and solved, kept on disk, so that a stop in between is safe.

One file for each place (a local mesh, a namespace of a cluster), in the folder `.exercises` beside the state of the
local meshes: no mesh can have that name.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from meshtrail.errors import MeshtrailError
from meshtrail.local.state import state_root

FOLDER = ".exercises"


@dataclass(frozen=True, slots=True)
class Current:
    """The exercise that is started. `before` is what its place needs to give everything back; `ready` says that the
    scene is set. `since_us` is the place's own time in microseconds since 1970, `answer` the last that was given."""

    exercise: str
    case: str
    before: Mapping[str, Any]
    ready: bool = False
    since_us: int = 0
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """`solved` are exercises' folders, `hints` how many were given of each."""

    current: Current | None = None
    solved: tuple[str, ...] = ()
    hints: Mapping[str, int] = field(default_factory=dict)

    def with_solved(self, exercise: str) -> Progress:
        return dataclasses.replace(self, solved=tuple(dict.fromkeys((*self.solved, exercise))))

    def with_hints(self, exercise: str, number: int) -> Progress:
        return dataclasses.replace(self, hints={**self.hints, exercise: number})

    @classmethod
    def from_json(cls, text: str) -> Self:
        data = json.loads(text)
        current = data["current"]
        return cls(None if current is None else Current(**current), tuple(data["solved"]), dict(data["hints"]))


def path_of(key: str) -> Path:
    return state_root() / FOLDER / f"{re.sub(r'[^a-z0-9.-]', '_', key.lower())}.json"


def read(key: str) -> Progress:
    """What was kept for a place; nothing when there is none, or another version wrote it."""
    try:
        return Progress.from_json(path_of(key).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return Progress()


def write(key: str, progress: Progress) -> None:
    path = path_of(key)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(dataclasses.asdict(progress)) + "\n", encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise MeshtrailError(
            f"cannot write {path}: {error.strerror}", mend="set MESHTRAIL_STATE to a folder of yours"
        ) from None
