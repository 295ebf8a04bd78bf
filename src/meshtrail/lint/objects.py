"""One object of the manifests, read leniently: a field of the wrong type counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshtrail.manifests.document import List, Map, Mark

Path = tuple[str | int, ...]
"""The way to a field: `("spec", "ports", 0, "name")`."""

HELM_VALUES = "HelmValues"
"""The kind given to a file of Helm values for istiod, which has none of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """An object. `namespace` is "" when none is given; `kustomization` the folder that was built, or ""."""

    raw: Map
    kind: str
    group: str
    name: str
    namespace: str
    kustomization: str = ""

    @property
    def title(self) -> str:
        """`Kind namespace/name`."""
        named = "/".join(part for part in (self.namespace, self.name) if part)
        return f"{self.kind} {named}" if named else self.kind

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.group, self.kind, self.namespace, self.name)

    @property
    def labels(self) -> dict[str, str]:
        return strings(self.get("metadata", "labels"))

    @property
    def annotations(self) -> dict[str, str]:
        return strings(self.get("metadata", "annotations"))

    def get(self, *path: str | int) -> Any:
        return dig(self.raw, path)

    def items(self, *path: str | int) -> list[tuple[Path, Map]]:
        """The mappings in the list at `path`, each with its own path."""
        return [((*path, index), item) for index, item in enumerate(sequence(self.get(*path))) if isinstance(item, Map)]

    def mark(self, path: Path) -> Mark:
        return mark_of(self.raw, path)


def read(raw: Map, kustomization: str = "") -> Object | None:
    """The document as an object; None when it is none (no kind)."""
    kind = raw.get("kind")
    if not isinstance(kind, str) or not isinstance(raw.get("apiVersion"), str):
        # A chart's values: only those for istiod say anything about tracing.
        if "kind" not in raw and isinstance(raw.get("meshConfig"), Map):
            return Object(raw, HELM_VALUES, "meshtrail", "", "", kustomization)
        return None
    meta = raw.get("metadata")
    name, namespace = (text(dig(meta, (field,))) for field in ("name", "namespace"))
    return Object(raw, kind, raw["apiVersion"].rpartition("/")[0], name, namespace, kustomization)


def dig(value: Any, path: Path) -> Any:
    """The value at `path`, or None."""
    for step in path:
        if isinstance(step, str) and isinstance(value, Map):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, List) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def mark_of(value: Map, path: Path) -> Mark:
    """The place of the field at `path`, or of what is nearest to it on the way there."""
    mark, here = value.mark, value
    for step in path:
        if isinstance(step, str) and isinstance(here, Map) and step in here:
            mark, here = here.where(step), here[step]
        elif isinstance(step, int) and isinstance(here, List) and step < len(here):
            here = here[step]
            mark = here.mark if isinstance(here, Map | List) else mark
        else:
            break
    return mark


def field_name(path: Path) -> str:
    """A path as kubectl writes it: `spec.ports[0].name`."""
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        elif "." in step or "/" in step:
            out += f"['{step}']"
        else:
            out += f".{step}" if out else step
    return out


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """A number, also one that is written as a string (Helm's users quote them)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def whole(value: Any) -> int | None:
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def strings(value: Any) -> dict[str, str]:
    """Labels or annotations. A bare `true` or number, which the API server refuses, is read as it is meant."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(key): str(item).lower() if isinstance(item, bool) else str(item)
        for key, item in value.items()
        if item is not None
    }
