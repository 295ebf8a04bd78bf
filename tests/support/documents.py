"""YAML read with libyaml where there is one: hundreds of files are read before the first test runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(text: str | Path) -> list[Any]:
    """The documents of a text, or of the file at a path, without the empty ones."""
    if isinstance(text, Path):
        text = text.read_text()
    return [one for one in yaml.load_all(text, Loader=_LOADER) if one]
