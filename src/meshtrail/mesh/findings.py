"""Collects what is wrong with the manifests while the mesh is built."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshtrail.errors import Problem, Warnings
from meshtrail.manifests.kinds import Meta


@dataclass(slots=True)
class Findings:
    """`problems` stop the build; under `lenient` those that a cluster accepts are warnings instead."""

    lenient: bool
    warnings: Warnings
    problems: list[Problem] = field(default_factory=list)

    def error(self, meta: Meta, field: str, message: str, mend: str) -> None:
        """What no cluster could carry out either."""
        self.problems.append(_problem(meta, field, message, mend))

    def refuse(self, meta: Meta, field: str, message: str, mend: str) -> None:
        """What a cluster accepts and then does nothing, or something unexpected, with."""
        if self.lenient:
            self.warnings.add(_problem(meta, field, message, mend))
        else:
            self.problems.append(_problem(meta, field, message, mend))

    def warn(self, meta: Meta, field: str, message: str, mend: str) -> None:
        self.warnings.add(_problem(meta, field, message, mend))


def _problem(meta: Meta, field: str, message: str, mend: str) -> Problem:
    return Problem(message, file=meta.file, line=meta.line, object=meta.ref, field=field, mend=mend)
