"""Reading manifests of any project: files, folders, kustomizations, standard input.

What is named together is one bundle, as if applied one after the other. In a folder that is no kustomization itself,
each kustomization that no other one there builds on is a bundle of its own; the YAML files beside them are one more,
but for folders whose objects name no namespace: each of those is one.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meshtrail.errors import ManifestError, Problem
from meshtrail.lint.bundle import Bundle, Index
from meshtrail.lint.meshconfig import unreadable
from meshtrail.lint.objects import HELM_VALUES, Object, read
from meshtrail.manifests import kustomize
from meshtrail.manifests.document import Map, Mark, parse, read_text
from meshtrail.manifests.files import SUFFIXES, unpack
from meshtrail.manifests.transforming import CLUSTER_SCOPED

MAX_BYTES = 64 * 1024 * 1024
MAX_VALUES = 5_000_000
NO_NAMESPACE = CLUSTER_SCOPED | {"IstioOperator", HELM_VALUES}
SKIPPED_FOLDERS = frozenset({"node_modules", "vendor", "__pycache__"})
_MANIFEST = re.compile(r"""^\s*["']?(apiVersion|kind)["']?\s*:""", re.MULTILINE)
_COMPONENT = re.compile(r"^kind:\s*Component\b", re.MULTILINE)


@dataclass(slots=True)
class Sources:
    """What was read. `problems` are what could not be read; `skipped` are Helm charts, which have to be rendered."""

    bundles: list[Bundle] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def objects(self) -> int:
        return sum(len(bundle.own.objects) for bundle in self.bundles)


def read_sources(paths: Sequence[str], stdin: Callable[[], str]) -> Sources:
    """Everything below `paths`; "-" is standard input. Raises nothing: what cannot be read is in `problems`."""
    return _Reader(stdin).run(paths)


class _Reader:
    def __init__(self, stdin: Callable[[], str]) -> None:
        self.stdin = stdin
        self.out = Sources()
        self.together: list[Object] = []
        self.apart: list[list[Object]] = []

    def run(self, paths: Sequence[str]) -> Sources:
        for name in dict.fromkeys(paths):
            try:
                self.path(name)
            except ManifestError as error:
                self.out.problems.extend(error.problems)
        everything = Index([*self.together, *(one for objects in self.apart for one in objects)])
        self.out.problems.extend(unreadable(everything.objects))
        own = [objects for objects in (self.together, *self.apart) if objects]
        self.out.bundles = [Bundle(Index(objects), everything) for objects in own]
        self.out.problems = list(dict.fromkeys(self.out.problems))
        return self.out

    def path(self, name: str) -> None:
        if name == "-":
            self.together += objects(parse(self.stdin(), "<stdin>", MAX_VALUES), "<stdin>")
            return
        path = Path(name)
        if path.is_dir():
            if kustomize.find(path):
                self.together += self.kustomization(path)
            else:
                self.folder(path)
        elif path.name in kustomize.NAMES and path.is_file():
            self.together += self.kustomization(path.parent)
        else:
            self.out.files.add(path)
            self.together += objects(parse(read_text(path, MAX_BYTES), name, MAX_VALUES), name)

    def kustomization(self, folder: Path, files: set[Path] | None = None) -> list[Object]:
        """The objects that it builds. Raises ManifestError, with the way around in the mend."""
        read_files = files if files is not None else set()
        try:
            built = kustomize.build(folder, [], read_files, {}, hashed=True)
        except ManifestError as error:
            around = f"or build it yourself: kubectl kustomize {folder} | meshtrail lint -"
            raise ManifestError(
                [dataclasses.replace(one, mend=f"{one.mend}; {around}".lstrip("; ")) for one in error.problems]
            ) from None
        finally:
            self.out.files |= read_files
        return [found for raw in built if (found := read(raw, str(folder))) is not None]

    def folder(self, top: Path) -> None:
        """A folder without a kustomization of its own."""
        built: dict[Path, tuple[list[Object], set[Path]]] = {}
        loose: list[Path] = []
        for folder, kustomized, names in self.walk(top):
            if kustomized is not None:
                if kustomization_kind(kustomized) == "Component":
                    continue
                files: set[Path] = set()
                try:
                    built[kustomized] = (self.kustomization(folder, files), files)
                except ManifestError as error:
                    self.out.problems.extend(error.problems)
            else:
                loose += [folder / name for name in names]
        used = {path for own, (_, files) in built.items() for path in files if path != own}
        # A base is meant for what builds on it: by itself it would be reported for what its overlays give it.
        self.apart += [objects for path, (objects, _) in built.items() if path not in used]
        by_folder: dict[Path, list[Object]] = {}
        for path in loose:
            if path not in used:
                by_folder.setdefault(path.parent, []).extend(self.loose(path))
        for found in by_folder.values():
            # Without a namespace nobody can tell that two folders are applied to the same one.
            if all(one.namespace or one.kind in NO_NAMESPACE for one in found):
                self.together += found
            else:
                self.apart.append(found)

    def loose(self, path: Path) -> list[Object]:
        """A file that the walk came upon: it may be anything, so only what looks like a manifest must be readable."""
        try:
            text = read_text(path, MAX_BYTES)
        except ManifestError as error:
            self.out.problems.extend(error.problems)
            return []
        if not _MANIFEST.search(text) and "meshConfig:" not in text:
            return []
        self.out.files.add(path)
        try:
            return objects(parse(text, str(path), MAX_VALUES), str(path), strict=False)
        except ManifestError as error:
            self.out.problems.extend(error.problems)
            return []

    def walk(self, top: Path) -> Iterator[tuple[Path, Path | None, list[str]]]:
        """Each folder with its kustomization, or with the YAML files that belong to none."""
        below_kustomization: set[str] = set()
        for name, folders, names in os.walk(top):
            folder = Path(name)
            folders[:] = sorted(one for one in folders if not one.startswith(".") and one not in SKIPPED_FOLDERS)
            kustomized = kustomize.find(folder)
            inside = os.path.dirname(name) in below_kustomization
            if kustomized is not None or inside:
                below_kustomization.add(name)
            if "Chart.yaml" in names:
                self.out.skipped.append(str(folder))
                folders.clear()
                continue
            if kustomized is not None:
                yield folder, kustomized, []
            elif not inside:
                yield folder, None, sorted(one for one in names if one.endswith(SUFFIXES))


def kustomization_kind(path: Path) -> str:
    """`Kustomization`, or `Component`: what is laid over others and builds nothing alone."""
    return "Component" if _COMPONENT.search(read_text(path)) else "Kustomization"


def objects(documents: list[object], file: str, *, strict: bool = True) -> list[Object]:
    """The objects among documents, those of a `kind: List` too. Raises ManifestError for what is no mapping."""
    found = []
    for document in documents:
        for raw, mark in unpack(document, Mark(file, 1)):
            if isinstance(raw, Map):
                one = read(raw)
                if one is not None:
                    found.append(one)
            elif strict:
                problem = Problem("is no manifest: a mapping with apiVersion and kind", mark.file, mark.line)
                raise ManifestError([problem])
    return found
