"""Files: the documents of a manifest, and the file or folder that a kustomization names."""

from __future__ import annotations

import os
from pathlib import Path

from meshtrail.manifests.document import List, Map, Mark, parse, read_text
from meshtrail.manifests.reader import Value

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


def below(folder: Path, value: Value) -> Path | None:
    """The file or folder that an entry names, relative to the folder of its kustomization; None after a problem."""
    name = value.text()
    if not name:
        if isinstance(value.raw, str):
            value.error("must not be empty")
        return None
    if "://" in name or name.startswith(("git@", "github.com/")) or "?ref=" in name:
        value.error(f"{name[:80]!r} is remote: nothing is fetched", "copy it into the repository")
        return None
    # Joined by hand: `..` is resolved in the text, so that messages name the path a person would write.
    path = Path(os.path.normpath(folder / name))
    try:
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if not exists:
        value.error(f"no such file or folder: {name[:200]}")
        return None
    if path.is_file() and not path.resolve().is_relative_to(folder.resolve()):
        value.error(f"{name} lies outside of the kustomization's folder, which kustomize refuses", "move it, or "
                    "give its folder a kustomization of its own")  # fmt: skip
        return None
    return path
