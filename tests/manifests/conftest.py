"""Reading a manifest from a text, and the problems of a bad one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meshtrail.errors import ManifestError, Problem
from meshtrail.manifests import Manifests, load

Read = Callable[[str], Manifests]
Refuse = Callable[[str], list[Problem]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The objects of a YAML text."""

    def read_text(text: str) -> Manifests:
        path = tmp_path / "manifest.yaml"
        path.write_text(text, encoding="utf-8")
        return load([path])

    return read_text


@pytest.fixture
def refuse(read: Read) -> Refuse:
    """The problems of a YAML text that must not load."""

    def problems(text: str) -> list[Problem]:
        with pytest.raises(ManifestError) as caught:
            read(text)
        return caught.value.problems

    return problems
