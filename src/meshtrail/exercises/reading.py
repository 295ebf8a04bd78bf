"""Reading an exercise's YAML files: plain values, each mistake with its file, line and field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from meshtrail.errors import ManifestError, MeshtrailError, Problem
from meshtrail.manifests.document import Map, parse, read_text

LANGUAGES = ("en", "ru")


class ExerciseError(MeshtrailError):
    """A file of an exercise is not as it shall be: a mistake of its author, or a broken copy of the repository."""


def read_yaml(path: Path) -> Map:
    """The one document of a file, a mapping. Raises ExerciseError."""
    try:
        documents = [one for one in parse(read_text(path), str(path)) if one is not None]
    except ManifestError as error:
        raise ExerciseError(str(error)) from None
    if len(documents) != 1 or not isinstance(documents[0], Map):
        raise ExerciseError(str(Problem("must be one YAML mapping", str(path), 1)))
    return documents[0]


def fail(where: Map, field: str, message: str, *, mend: str = "") -> ExerciseError:
    mark = where.where(field)
    return ExerciseError(str(Problem(message, mark.file, mark.line, "", field, mend)))


def only(where: Map, known: Sequence[str]) -> None:
    """Refuse fields that nobody reads: they are typing errors."""
    for name in where:
        if name not in known:
            raise fail(where, name, "unknown field", mend=f"known here: {', '.join(known)}")


def text(where: Map, field: str, default: str | None = None) -> str:
    found = where.get(field, default)
    if not isinstance(found, str) or not found:
        raise fail(where, field, "must be text" if field in where else "is missing")
    return found


def texts(where: Map, field: str) -> tuple[str, ...]:
    """A list of strings; one string stands for a list of it; absent is empty."""
    found = where.get(field)
    if found is None:
        return ()
    if isinstance(found, str):
        return (found,)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise fail(where, field, "must be a list of text")
    return tuple(found)


def mapping(where: Map, field: str) -> Map | None:
    found = where.get(field)
    if found is not None and not isinstance(found, Map):
        raise fail(where, field, "must be a mapping")
    return found


def choices(where: Map, field: str) -> dict[str, str]:
    """A mapping of text to text; absent is empty."""
    found = mapping(where, field)
    if found is None:
        return {}
    for name in found:
        text(found, name)
    return {str(name): str(value) for name, value in found.items()}


def both(where: Map, field: str) -> dict[str, str]:
    """A text in every language: `{en: ..., ru: ...}`."""
    found = mapping(where, field)
    if found is None:
        raise fail(where, field, f"is missing: a text for each of {', '.join(LANGUAGES)}")
    only(found, LANGUAGES)
    return {language: text(found, language) for language in LANGUAGES}
