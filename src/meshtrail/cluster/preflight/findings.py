"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names the rule, `seen` says in a sentence what is there, `mend` is the command or edit that mends it."""

    check: str
    level: Level
    seen: str
    mend: str = ""


def ok(check: str, seen: str) -> Finding:
    return Finding(check, "ok", seen)


def warn(check: str, seen: str, mend: str) -> Finding:
    return Finding(check, "warn", seen, mend)


def fail(check: str, seen: str, mend: str) -> Finding:
    return Finding(check, "fail", seen, mend)


def listed(names: list[str] | tuple[str, ...], most: int = 4) -> str:
    """`a, b, c and 5 more`."""
    unique = list(dict.fromkeys(names))
    rest = len(unique) - most
    return ", ".join(unique[:most]) + (f" and {rest} more" if rest > 0 else "")
