"""What a rule finds, and what the report shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from meshtrail.lint.objects import Object, Path

Level = Literal["error", "warning", "note"]
"""`error`: traces break or are not there. `warning`: spans are missing or misleading. `note`: worth knowing, changes no
exit status."""

LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a rule found: the object, the path of the field in it, what is wrong, what mends it."""

    level: Level
    object: Object
    path: Path
    text: str
    mend: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    `file` and `line` (1-based, 0: unknown) are those of the field, in the file that set it last: a patch, if a patch
    set it. `kustomization` is the folder that was built, when the object came through one. `docs` is relative to the
    repository.
    """

    rule: str
    level: Level
    file: str
    line: int
    object: str
    field: str
    text: str
    mend: str
    docs: str
    kustomization: str = ""
    patched: bool = False
    """The field comes from another file than the object."""
