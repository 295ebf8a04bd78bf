"""The documents of a manifest file, lists unpacked."""

from __future__ import annotations

from pathlib import Path

from meshtrail.manifests.document import List, Map, Mark, parse, read_text

SUFFIXES = (".yaml", ".yml", ".json")


def read_file(path: Path, files: set[Path]) -> list[tuple[object, Mark]]:
    """The documents of one file with their places, a `List` replaced by its items, empty ones left out.

    `files` receives the path, also when reading fails: who watches the files must see it mended.
    """
    files.add(path)
    out: list[tuple[object, Mark]] = []
    for document in parse(read_text(path), str(path)):
        out.extend(unpack(document, Mark(str(path), 1)))
    return out


def unpack(document: object, mark: Mark) -> list[tuple[object, Mark]]:
    """A document, or the items of a `kind: List`."""
    if document is None:
        return []
    if isinstance(document, Map):
        items = document.get("items")
        if document.get("kind") == "List" and isinstance(items, List):
            return [pair for item in items for pair in unpack(item, items.mark)]
        return [(document, document.mark)]
    return [(document, mark)]
