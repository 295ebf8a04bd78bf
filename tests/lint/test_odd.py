"""Manifests with any value in any place: the lint says what it can and never breaks."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.lint.support import ROOT

from meshtrail.lint import rules
from meshtrail.lint.rule import RULES
from meshtrail.lint.run import lint

rules.load()
ODD: list[Any] = [None, True, 3, -1.5, "", "x", "a.b", [], {}, [None], [{}], [[]], {"a": 1}, {"": None}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def put(documents: list[Any], path: tuple[Any, ...], value: Any) -> list[Any]:
    changed = copy.deepcopy(documents)
    here: Any = changed
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return changed


@pytest.mark.parametrize("rule", RULES)
def test_any_value_in_any_place(rule: str) -> None:
    text = (ROOT / f"src/meshtrail/lint/examples/{rule}/reported.yaml").read_text()
    documents = list(yaml.safe_load_all(text))
    # The same in every run, and another choice for every rule.
    chosen = random.Random(rule)
    for path in chosen.choices([one for one in places(documents) if one], k=10):
        value = chosen.choice(ODD)
        odd = "\n---\n".join(json.dumps(one) for one in put(documents, path, value))
        report = lint(["-"], lambda odd=odd: odd)  # type: ignore[misc]
        # Only a document that is no mapping cannot be read.
        assert not report.problems or len(path) == 1, (path, value)
