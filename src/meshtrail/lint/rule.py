"""What a rule is: one function with its identifier, and what its page in docs/lint.md says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from meshtrail.lint.bundle import Bundle
from meshtrail.lint.finding import Found, Level
from meshtrail.lint.objects import Object, Path

Check = Callable[[Bundle], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`levels` are those that it may report, the gravest first. `why` says what happens without the mend."""

    id: str
    title: str
    levels: tuple[Level, ...]
    why: str
    mend: str
    conditions: str
    """What has to be known for it, and where it keeps quiet."""
    check: Check

    @property
    def docs(self) -> str:
        return f"docs/lint.md#{self.id}"

    def example(self, name: str) -> str:
        """A manifest that it reports (`reported`), in the lines marked `# reported`; one that is in order (`clean`)."""
        return files("meshtrail.lint").joinpath("examples", self.id, f"{name}.yaml").read_text(encoding="utf-8")


RULES: dict[str, Rule] = {}


def rule(id: str, title: str, *levels: Level, why: str, mend: str, conditions: str = "") -> Callable[[Check], Check]:
    """Register a rule; the function yields what it finds in a bundle."""

    def register(check: Check) -> Check:
        RULES[id] = Rule(id, title, levels, _joined(why), _joined(mend), _joined(conditions), check)
        return check

    return register


def _joined(words: str) -> str:
    return " ".join(words.split())


def error(object: Object, path: Path, text: str, mend: str) -> Found:
    return Found("error", object, path, text, mend)


def warning(object: Object, path: Path, text: str, mend: str) -> Found:
    return Found("warning", object, path, text, mend)


def note(object: Object, path: Path, text: str, mend: str) -> Found:
    return Found("note", object, path, text, mend)
