"""Which objects outside of the application's namespace an exercise changes: only those are given back there.

A cluster is shared: what others change in the mesh's namespace meanwhile is not ours to take back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from meshtrail.cluster.snapshot import ROOT as MESH_NAMESPACE
from meshtrail.errors import ManifestError
from meshtrail.exercises.catalog import Exercise
from meshtrail.exercises.settings import is_reference
from meshtrail.manifests.loading import read_documents


def touched(exercise: Exercise) -> tuple[str, ...]:
    """`Kind/namespace/name` of what exercise.yaml says, and of what the manifests of its scenes and its pages' commands
    hold for the mesh's namespace."""
    found = list(exercise.settings.touches)
    for path in _paths(exercise):
        try:
            documents = read_documents(path, (), set(), {})
        except ManifestError:
            continue  # said when it is applied
        for raw, _ in documents:
            meta = raw.get("metadata") if isinstance(raw, dict) else None
            if isinstance(raw, dict) and isinstance(meta, dict) and meta.get("namespace") == MESH_NAMESPACE:
                found.append(f"{raw.get('kind')}/{MESH_NAMESPACE}/{meta.get('name')}")
    return tuple(dict.fromkeys(found))


def _paths(exercise: Exercise) -> Iterator[Path]:
    for case in exercise.settings.cases:
        for text in (*case.scene.manifests, *case.scene.delete):
            if is_reference(text):
                continue
            yield exercise.folder / text
    root = exercise.folder.parents[1]
    for block in exercise.page("en").blocks:
        for text in re.findall(r"(?:-f|-k|--filename|--kustomize)[ =](\S+)", block.commands):
            path = root / text.strip("\"'")
            if path.exists():
                yield path
