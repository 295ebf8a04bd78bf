"""docs/trace-store.md says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from meshtrail.store.__main__ import _parser
from meshtrail.store.limits import Limits
from meshtrail.store.server import DEFAULT_PORTS

_PAGE = (Path(__file__).parents[2] / "docs" / "trace-store.md").read_text()


def _rows(heading: str) -> list[list[str]]:
    section = _PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_limits_and_their_defaults() -> None:
    page = {row[0].strip("`"): row[1].replace(",", "") for row in _rows("Limits")}
    assert page == {
        field.name: f"{getattr(Limits(), field.name):g}"
        if field.name == "max_age_s"
        else str(getattr(Limits(), field.name))
        for field in fields(Limits)
    }


def test_ports_and_their_defaults() -> None:
    page = {row[0].strip("`"): int(row[1]) for row in _rows("Ports")}
    assert page == {f"--{name.replace('_', '-')}-port": port for name, port in DEFAULT_PORTS.items()}


def test_every_option_is_on_the_page_and_no_other() -> None:
    options = {word for action in _parser()._actions for word in action.option_strings if word.startswith("--")}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", _PAGE)) == options - {"--help"}
