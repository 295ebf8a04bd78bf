"""Suppressions: an annotation on an object that says which rules are not to report it, and why.

    meshtrail.dev/lint-ignore: "sampling-zero: the exercise shows what this looks like"

Several rules with one reason are separated by commas, several reasons by semicolons or lines. On a workload it may
stand on the pod template too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from meshtrail.lint.finding import Found
from meshtrail.lint.objects import Object, Path, strings
from meshtrail.lint.rule import RULES, note, warning
from meshtrail.lint.workload import TEMPLATES

ANNOTATION = "meshtrail.dev/lint-ignore"


@dataclass(slots=True, eq=False)
class Suppression:
    """What one annotation says: reasons by rule. `used` collects the rules that it kept quiet."""

    object: Object
    path: Path
    reasons: dict[str, str]
    used: set[str] = field(default_factory=set)


def suppressions(objects: Iterable[Object]) -> list[Suppression]:
    found = []
    for one in objects:
        places: list[Path] = [("metadata", "annotations")]
        if TEMPLATES.get(one.kind):
            places.append((*TEMPLATES[one.kind], "metadata", "annotations"))
        for place in places:
            said = strings(one.get(*place)).get(ANNOTATION)
            if said is not None:
                found.append(Suppression(one, (*place, ANNOTATION), parse(said)))
    return found


def parse(text: str) -> dict[str, str]:
    """`rule-a, rule-b: reason; rule-c: reason` as reasons by rule; a reason that is missing is ""."""
    reasons: dict[str, str] = {}
    for entry in text.replace("\n", ";").split(";"):
        names, _, reason = entry.partition(":")
        for name in names.split(","):
            if name.strip():
                reasons[name.strip()] = reason.strip()
    return reasons


def misused(found: list[Suppression]) -> Iterator[Found]:
    """Suppressions that name no rule, give no reason, or keep nothing quiet."""
    for one in found:
        for name, reason in one.reasons.items():
            if name not in RULES:
                yield warning(one.object, one.path, f"there is no rule {name!r}", "docs/lint.md lists the rules")
            elif not reason:
                yield warning(
                    one.object,
                    one.path,
                    f"gives no reason for ignoring {name}",
                    f'write it behind a colon: "{name}: why this is meant"',
                )
            elif name not in one.used:
                yield note(
                    one.object,
                    one.path,
                    f"{name} reports nothing here, so there is nothing to ignore",
                    "remove it, or lint together with what the rule needs: mesh configuration, Namespace, Services",
                )
