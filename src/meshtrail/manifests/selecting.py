"""Which objects a patch is for: by name, or by a target."""

from __future__ import annotations

import re
import warnings

from meshtrail.errors import ManifestError, Problem
from meshtrail.manifests.document import Map
from meshtrail.manifests.patching import fail
from meshtrail.manifests.reader import Fields, message

TARGET = message("Kustomization.patches[].target", "group version kind name namespace labelSelector annotationSelector")


class NoTargetError(ManifestError):
    """A patch names an object that is not among the resources."""


def identity(one: Map) -> tuple[str, str, str, str]:
    """API group, kind, namespace, name."""
    meta = one.get("metadata")
    meta = meta if isinstance(meta, Map) else Map(one.mark)
    group = str(one.get("apiVersion")).rpartition("/")[0]
    return (group, str(one.get("kind")), str(meta.get("namespace") or ""), str(meta.get("name")))


def refuse_twice(objects: list[Map]) -> None:
    first: dict[tuple[str, str, str, str], Map] = {}
    for one in objects:
        own = identity(one)
        if own in first:
            place = first[own].mark
            what = f"{own[1]} {own[3]}"
            raise fail(f"{what} is given twice (first in {place.file}:{place.line})", one.mark)
        first[own] = one


def named(patch: Map, objects: list[Map]) -> Map:
    """The object that a strategic-merge patch is for, by group, kind, name and, if it says so, namespace."""
    group, kind, namespace, name = identity(patch)
    found = [
        one
        for one in objects
        if (own := identity(one))[:2] == (group, kind)
        and own[3] == name
        and (not namespace or own[2] in (namespace, ""))
    ]
    if len(found) == 1:
        return found[0]
    problem = Problem(
        "the patch finds no such object" if not found else "the patch fits several objects",
        patch.mark.file,
        patch.mark.line,
        f"{kind} {name}"[:120],
        mend="check apiVersion, kind and name" if not found else "give the namespace",
    )
    raise NoTargetError([problem]) if not found else ManifestError([problem])


def select(target: Fields, objects: list[Map]) -> list[Map]:
    """The objects that a patch target chooses; names are anchored regular expressions, as kustomize has them."""
    patterns = {}
    for name in ("name", "namespace", "kind", "group", "version"):
        text = target.text(name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                patterns[name] = re.compile(rf"(?:{text})\Z") if text else None
        except (re.error, OverflowError, RecursionError) as error:
            target.error(f"{text[:60]!r} is not a regular expression: {error}", name)
    labels = selector(target, "labelSelector")
    annotations = selector(target, "annotationSelector")
    chosen = []
    for one in objects:
        group, kind, namespace, name = identity(one)
        version = str(one.get("apiVersion")).rpartition("/")[2]
        own = {"name": name, "namespace": namespace or "default", "kind": kind, "group": group, "version": version}
        if not all(pattern is None or pattern.match(own[what]) for what, pattern in patterns.items()):
            continue
        meta = one.get("metadata")
        meta = meta if isinstance(meta, Map) else Map(one.mark)
        if all(
            (there.get(key) == text if isinstance(there, Map) else False)
            for wanted, there in ((labels, meta.get("labels")), (annotations, meta.get("annotations")))
            for key, text in wanted.items()
        ):
            chosen.append(one)
    return chosen


def selector(target: Fields, name: str) -> dict[str, str]:
    """`a=b,c=d`; the other operators of a label selector are not supported."""
    out = {}
    for part in filter(None, target.text(name).split(",")):
        key, equals, value = part.partition("=")
        if not equals or key.endswith("!") or not key.strip():
            target.error(f"{part[:60]!r} is not supported", name, "write KEY=value")
            continue
        out[key.strip()] = value.removeprefix("=").strip()
    return out
