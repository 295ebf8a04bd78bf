"""An exercise's page: its parts, the commands that stand in it, its hints.

A command is a fenced block whose info string begins with `bash`: `bash` a step, `bash solution`, `bash wrong=CODE` a
wrong turn that the check answers with that code; `target=local`, `case=NAME`, `exit=1` say when it runs, how it ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meshtrail.errors import Problem
from meshtrail.exercises.reading import ExerciseError
from meshtrail.exercises.settings import TARGETS

HEADINGS = {
    "en": (
        "Goal", "Background", "Steps", "What to observe", "Check", "Wrong turns", "Hints", "Solution", "Why",
    ),
    "ru": (
        "Цель", "Основа", "Шаги", "Что наблюдать", "Проверка", "Неверные повороты", "Подсказки", "Решение", "Почему",
    ),
}  # fmt: skip
FILES = {"en": "README.md", "ru": "README.ru.md"}
HINTS = 6
SOLUTION = 7
"""Positions in HEADINGS."""

Role = Literal["step", "solution", "wrong"]


@dataclass(frozen=True, slots=True)
class Block:
    """One command of a page. `code` is what the check says after a wrong turn; `exit` the status the command ends with.

    Empty `target` and `cases` mean: all of them.
    """

    role: Role
    commands: str
    line: int
    code: str = ""
    target: str = ""
    cases: tuple[str, ...] = ()
    exit: int = 0

    def holds(self, target: str, case: str) -> bool:
        return self.target in ("", target) and (not self.cases or case in self.cases)


@dataclass(frozen=True, slots=True)
class Page:
    """`parts` are the texts under the headings, in the headings' order."""

    path: Path
    title: str
    parts: tuple[str, ...]
    blocks: tuple[Block, ...]
    hints: tuple[str, ...]

    def of(self, role: Role, target: str, case: str) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if block.role == role and block.holds(target, case))


def read_page(path: Path, language: str) -> Page:
    """Raises ExerciseError with file and line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ExerciseError(str(Problem(f"cannot be read: {error}", str(path)))) from None
    title = ""
    found: list[tuple[str, list[str]]] = []
    blocks: list[Block] = []
    fence: tuple[str, int] | None = None
    inside: list[str] = []
    for number, line in enumerate(lines, 1):
        mark = re.match(r"\s*```(.*)$", line)
        if mark and fence is None:
            fence, inside = (mark[1].strip(), number), []
        elif mark and fence is not None:
            block = _block(fence[0], "\n".join(inside), fence[1], path)
            blocks += [block] if block else []
            fence = None
        elif fence is not None:
            inside.append(line)
        elif line.startswith("# "):
            title = line[2:].strip()
        elif line.startswith("## "):
            found.append((line[3:].strip(), []))
            continue
        if found:
            found[-1][1].append(line)
    if fence is not None:
        raise _error(path, fence[1], "this block has no end: ``` is missing")
    headings = HEADINGS[language]
    if tuple(name for name, _ in found) != headings:
        missing = [name for name in headings if name not in (one for one, _ in found)]
        lacking = f"missing: {', '.join(missing)}" if missing else "mind the order"
        raise _error(path, 1, f"the headings are not {', '.join(headings)}; {lacking}")
    if not re.match(r"\d+\. \S", title):
        raise _error(path, 1, "the first line must be `# N. Title`")
    parts = tuple("\n".join(text).strip() for _, text in found)
    hints = _hints(parts[HINTS])
    if not hints:
        raise _error(path, 1, f"no hints: an ordered list under {headings[HINTS]}")
    return Page(path, title, parts, tuple(blocks), hints)


def _block(info: str, commands: str, line: int, path: Path) -> Block | None:
    language, *words = info.split() or [""]
    if language != "bash":
        return None
    role: Role = "step"
    code = target = ""
    cases: tuple[str, ...] = ()
    status = 0
    for word in words:
        name, _, value = word.partition("=")
        if word == "solution":
            role = "solution"
        elif name == "wrong" and value:
            role, code = "wrong", value
        elif name == "target" and value in TARGETS:
            target = value
        elif name == "case" and value:
            cases = tuple(value.split(","))
        elif name == "exit" and value.isdigit():
            status = int(value)
        else:
            known = "solution, wrong=CODE, target=local|cluster, case=NAME,NAME, exit=N"
            raise _error(path, line, f"unknown word {word!r} after bash; known: {known}")
    return Block(role, commands, line, code, target, cases, status)


def _hints(text: str) -> tuple[str, ...]:
    """The entries of an ordered list, each with what is indented under it."""
    hints: list[list[str]] = []
    for line in text.splitlines():
        entry = re.match(r"\d+\. (.*)$", line)
        if entry:
            hints.append([entry[1]])
        elif hints:
            hints[-1].append(re.sub(r"^ {1,3}", "", line))
    return tuple("\n".join(lines).strip() for lines in hints)


def _error(path: Path, line: int, message: str) -> ExerciseError:
    return ExerciseError(str(Problem(message, str(path), line)))
