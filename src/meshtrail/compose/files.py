"""The rendered files on disk: written so that a running Envoy notices, and compared with what they should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

GENERATED = ("*/env", "*/envoy")
"""The folders that belong to the renderer alone: two for each application."""


def write(files: Mapping[str, str], folder: Path) -> list[str]:
    """Make the generated part of `folder` hold exactly `files`; the paths that changed, sorted.

    A file is replaced by a rename: Envoy watches the folder for that, and never reads half a file. In the order of
    `files`, so that what a listener names is there before it. Everything is readable for all, since a container reads
    it as another user.
    """
    changed = stale(files, folder)
    for name in [name for name in files if name in changed]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(files[name], encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(path)
    for name in set(changed) - set(files):
        (folder / name).unlink()
    for name in files:
        for parent in (folder / name).relative_to(folder).parents:
            (folder / parent).chmod(0o755)
    return changed


def stale(files: Mapping[str, str], folder: Path) -> list[str]:
    """The paths of `files` that differ on disk or are missing, and those on disk that are not among `files`; sorted."""
    different = {name for name, text in files.items() if _text(folder / name) != text}
    return sorted(different | (set(_present(folder)) - set(files)))


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _present(folder: Path) -> Iterator[str]:
    for part in GENERATED:
        for path in folder.glob(f"{part}/**/*"):
            if path.is_file():
                yield path.relative_to(folder).as_posix()
