"""The one family of errors that a person is meant to read.

A message says what is wrong, where (file, object, field) and what mends it. The command line prints it without a
traceback; everything else that escapes is a defect of meshtrail.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class MeshtrailError(Exception):
    """Something the user can mend.

    `message` says what is wrong in one sentence, `mend` what to do about it (may be empty).
    """

    exit_status = 2

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message}\n  mend: {self.mend}" if self.mend else self.message


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding in a manifest.

    `file` is relative to where the command ran if possible, `line` is 1-based (0: unknown), `object` is
    `Kind namespace/name`, `field` a path as kubectl writes it (`spec.http[0].route`).
    """

    message: str
    file: str = ""
    line: int = 0
    object: str = ""
    field: str = ""
    mend: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file and self.line else self.file
        parts = [part for part in (where, self.object, self.field) if part]
        text = f"{': '.join(parts)}: {self.message}" if parts else self.message
        return f"{text}\n  mend: {self.mend}" if self.mend else text


class ManifestError(MeshtrailError):
    """Manifests that cannot be carried out; `problems` holds every finding, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(slots=True)
class Warnings:
    """Findings that do not stop the work (`--lenient` turns some errors into these)."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
