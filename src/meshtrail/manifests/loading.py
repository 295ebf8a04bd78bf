"""Loading manifests from files, folders and kustomizations into one immutable collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from meshtrail.errors import ManifestError, MeshtrailError, Problem, Warnings
from meshtrail.manifests import kinds, kustomize
from meshtrail.manifests.document import Mark
from meshtrail.manifests.files import SUFFIXES, read_file
from meshtrail.manifests.objects import read_object

T = TypeVar("T")


class Manifests(Mapping[kinds.Key, kinds.Resource]):
    """Objects by (kind, namespace, name), in the order in which they were read. Immutable."""

    def __init__(self, resources: Iterable[kinds.Resource] = (), files: Iterable[Path] = ()) -> None:
        self._resources = {kinds.key(resource): resource for resource in resources}
        self._files = frozenset(files)

    def __getitem__(self, key: kinds.Key) -> kinds.Resource:
        return self._resources[key]

    def __iter__(self) -> Iterator[kinds.Key]:
        return iter(self._resources)

    def __len__(self) -> int:
        return len(self._resources)

    def of(self, cls: type[T]) -> list[T]:
        """All objects of one class, for example `kinds.Service`. A Secret is a `kinds.ConfigMap` too."""
        return [resource for resource in self._resources.values() if isinstance(resource, cls)]

    def overlay(self, other: Manifests) -> Manifests:
        """These objects with those of `other` laid over, as `kubectl apply` does: replaced by key, or added."""
        return Manifests({**self._resources, **other._resources}.values(), self._files | other._files)

    def without(self, other: Manifests) -> Manifests:
        """These objects without those that `other` names, as `kubectl delete -f` does.

        Raises MeshtrailError when one is not there. The files of what stays are kept.
        """
        missing = [other[key].meta.ref for key in other if key not in self._resources]
        if missing:
            raise MeshtrailError(
                f"not in the mesh: {', '.join(missing)}", mend="delete what was applied, in the same namespace"
            )
        left = [resource for key, resource in self._resources.items() if key not in other._resources]
        return Manifests(left, self._files - other._files)

    def files(self) -> set[Path]:
        """Every file that was read, kustomizations and patches included."""
        return set(self._files)


def load(
    paths: Sequence[Path],
    *,
    components: Sequence[Path] = (),
    default_namespace: str = "default",
    lenient: bool = False,
    warnings: Warnings | None = None,
) -> Manifests:
    """Read manifests; a later path replaces objects of an earlier one.

    A path is a YAML or JSON file (several documents, `kind: List`), a folder with a kustomization, which is built, or
    a folder of YAML files. `components` are kustomize components laid over every kustomization among the paths.
    `lenient` turns "not carried out by the local mesh" into warnings, which go to `warnings` with all others.
    Raises ManifestError with all problems of all paths.
    """
    problems: list[Problem] = []
    noted = warnings if warnings is not None else Warnings()
    result = Manifests()
    laid: dict[Path, list[Problem]] = {}
    for path in paths:
        files: set[Path] = set()
        try:
            documents = read_documents(path, components, files, laid)
        except ManifestError as error:
            problems.extend(error.problems)
            continue
        found: dict[kinds.Key, kinds.Resource] = {}
        for raw, mark in documents:
            resource = read_object(raw, mark, problems, noted, default_namespace, lenient)
            if resource is None:
                continue
            key = kinds.key(resource)
            if key in found:
                first = found[key].meta
                problems.append(
                    Problem(
                        f"is given twice (first in {first.file}:{first.line})",
                        resource.meta.file,
                        resource.meta.line,
                        resource.meta.ref,
                    )
                )
            found[key] = resource
        result = result.overlay(Manifests(found.values(), files))
    for component in components:
        missing = [Problem("no kustomization was given to lay this component over", str(component))]
        problems.extend(laid.get(component, missing))
    if problems:
        raise ManifestError(list(dict.fromkeys(problems)))
    return result


def read_documents(
    path: Path, components: Sequence[Path], files: set[Path], laid: dict[Path, list[Problem]]
) -> list[tuple[object, Mark]]:
    """The documents of a path with their places, before they are typed; `files` receives what was read."""
    if path.is_dir():
        if kustomize.find(path):
            return [(raw, raw.mark) for raw in kustomize.build(path, components, files, laid)]
        found = sorted(child for child in path.iterdir() if child.suffix in SUFFIXES and child.is_file())
        if not found:
            raise ManifestError(
                [
                    Problem(
                        "holds no kustomization.yaml and no YAML files", str(path), mend="name another folder or file"
                    )
                ]
            )
        return [document for child in found for document in read_file(child, files)]
    if path.name in kustomize.NAMES:
        return [(raw, raw.mark) for raw in kustomize.build(path.parent, components, files, laid)]
    return read_file(path, files)
