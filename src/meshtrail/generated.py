"""Pages of docs/ of which parts are made from the code: each part stands between two comments, which stay."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

BEGIN, END = "<!-- {} begin: generated -->", "<!-- {} end -->"


def renewed(page: str, parts: Mapping[str, str]) -> str:
    """The page with every part of it renewed, by name. Raises ValueError when the place of one is missing."""
    for name, part in parts.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"the page has no place {begin} ... {end}")
        page = f"{before}{begin}\n{part}\n{end}{after}"
    return page


def write(render: Callable[[str], str]) -> None:
    """Renew the page that the command line names."""
    target = Path(sys.argv[1])
    target.write_text(render(target.read_text(encoding="utf-8")), encoding="utf-8")
