"""The rules over what was read, and the report of what they found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meshtrail.errors import Problem
from meshtrail.lint import rules
from meshtrail.lint.bundle import Bundle
from meshtrail.lint.finding import LEVELS, Finding, Found, Level
from meshtrail.lint.objects import field_name
from meshtrail.lint.rule import RULES
from meshtrail.lint.sources import Sources, read_sources
from meshtrail.lint.suppress import Suppression, misused, suppressions

SUPPRESSION = "suppression"


@dataclass(frozen=True, slots=True)
class Report:
    """Findings by file and line. `problems` are what could not be read: then nothing says that the rest is clean."""

    findings: tuple[Finding, ...]
    suppressed: int
    objects: int
    files: int
    problems: tuple[Problem, ...] = ()
    skipped: tuple[str, ...] = ()

    def count(self, level: Level) -> int:
        return sum(one.level == level for one in self.findings)

    @property
    def clean(self) -> bool:
        return not self.problems and all(one.level == "note" for one in self.findings)

    @property
    def exit_status(self) -> int:
        """0 clean (notes do not count), 1 findings, 2 could not read."""
        return 2 if self.problems else 0 if self.clean else 1


def lint(paths: Sequence[str], stdin: Callable[[], str] = str) -> Report:
    """Read `paths` (see `sources`) and run every rule over them. Raises nothing."""
    return examine(read_sources(paths, stdin))


def examine(sources: Sources) -> Report:
    rules.load()
    found: dict[tuple[str, str, int, str, str, str], Finding] = {}
    quiet: set[tuple[str, str, int, str, str, str]] = set()
    ignored: list[Suppression] = []
    for bundle in sources.bundles:
        own = suppressions(bundle.own.objects)
        ignored += own
        for rule, one in _run(bundle):
            finding = _finding(rule, one)
            if _ignored(rule, one, own):
                quiet.add(_key(finding))
            else:
                # Several kustomizations have the same base: its fault is one.
                found.setdefault(_key(finding), finding)
    # The same annotation comes with every kustomization that builds on its file: used in one is used.
    _share_use(ignored)
    for one in misused(ignored):
        finding = _finding(SUPPRESSION, one)
        found.setdefault(_key(finding), finding)
    order = {level: index for index, level in enumerate(LEVELS)}
    ordered = sorted(found.values(), key=lambda one: (one.file, one.line, order[one.level], one.rule, one.object))
    return Report(
        tuple(ordered),
        len(quiet),
        sources.objects,
        len(sources.files),
        tuple(sources.problems),
        tuple(sources.skipped),
    )


def _run(bundle: Bundle) -> list[tuple[str, Found]]:
    return [(rule.id, one) for rule in RULES.values() for one in rule.check(bundle)]


def _ignored(rule: str, one: Found, own: Sequence[Suppression]) -> bool:
    said = [entry for entry in own if entry.object.key == one.object.key and rule in entry.reasons]
    for entry in said:
        entry.used.add(rule)
    return bool(said)


def _share_use(ignored: Sequence[Suppression]) -> None:
    by_place: dict[tuple[str, int], set[str]] = {}
    for one in ignored:
        mark = one.object.mark(one.path)
        by_place.setdefault((mark.file, mark.line), set()).update(one.used)
    for one in ignored:
        mark = one.object.mark(one.path)
        one.used |= by_place[mark.file, mark.line]


def _finding(rule: str, one: Found) -> Finding:
    mark = one.object.mark(one.path)
    return Finding(
        rule=rule,
        level=one.level,
        file=mark.file,
        line=mark.line,
        object=one.object.title,
        field=field_name(one.path),
        text=one.text,
        mend=one.mend,
        docs=f"docs/lint.md#{rule}",
        kustomization=one.object.kustomization,
        patched=mark.file != one.object.raw.mark.file,
    )


def _key(one: Finding) -> tuple[str, str, int, str, str, str]:
    return (one.rule, one.file, one.line, one.object, one.field, one.text)
