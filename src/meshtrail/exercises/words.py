"""`words.yaml`: what a check says, in every language."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshtrail.exercises.reading import both, fail, only, read_yaml
from meshtrail.exercises.said import Said
from meshtrail.manifests.document import Map


@dataclass(frozen=True, slots=True)
class Words:
    """The sentence of one code and where to look, by language, with `{value}` placeholders; `look` may be empty."""

    text: Mapping[str, str]
    look: Mapping[str, str]


def read_words(path: Path) -> dict[str, Words]:
    """Raises ExerciseError with file and line: a language is missing, or has other placeholders than the first."""
    raw = read_yaml(path)
    found = {}
    for code, entry in raw.items():
        if not isinstance(entry, Map):
            raise fail(raw, code, "must be a mapping")
        only(entry, ("en", "ru", "look"))
        texts = both(raw, code) if "look" not in entry else _without_look(raw, code, entry)
        look = both(entry, "look") if "look" in entry else {}
        for one in (texts, look):
            if len({placeholders(text) for text in one.values()}) > 1:
                raise fail(raw, code, "the languages have different placeholders")
        found[code] = Words(texts, look)
    return found


def _without_look(raw: Map, code: str, entry: Map) -> dict[str, str]:
    texts = Map(entry.mark)
    for name, value in entry.items():
        if name != "look":
            texts.put(name, value, entry.where(name))
    outer = Map(raw.mark)
    outer.put(code, texts, raw.where(code))
    return both(outer, code)


def placeholders(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def sentence(words: Mapping[str, Words], said: Said, language: str) -> tuple[str, str]:
    """What was seen, and where to look (empty when there is nothing to mend)."""
    entry = words[said.code]
    values = {name: _shown(value) for name, value in said.values.items()}
    look = entry.look.get(language, "") if said.state != "done" else ""
    return entry.text[language].format_map(values), look.format_map(values)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(str(one) for one in value)
    return str(value)
