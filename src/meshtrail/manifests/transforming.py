"""What a kustomization sets across its objects: namespace, labels, annotations, images, replicas, ConfigMaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshtrail.manifests.document import Map, Mark

# Objects of a cluster, which have no namespace. Kustomize knows the same list from Kubernetes' own types.
CLUSTER_SCOPED = frozenset(
    [
        "Namespace",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "PersistentVolume",
        "StorageClass",
        "PriorityClass",
        "GatewayClass",
        "IngressClass",
        "RuntimeClass",
        "APIService",
        "Node",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "CSIDriver",
        "CSINode",
    ]
)

# Where a label or annotation goes beside the object's own metadata.
_TEMPLATES = dict.fromkeys(
    ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"), ("spec", "template", "metadata")
)
_SELECTORS = {
    "Service": ("spec", "selector"),
    "Deployment": ("spec", "selector", "matchLabels"),
    "ReplicaSet": ("spec", "selector", "matchLabels"),
    "StatefulSet": ("spec", "selector", "matchLabels"),
    "DaemonSet": ("spec", "selector", "matchLabels"),
    "PodDisruptionBudget": ("spec", "selector", "matchLabels"),
    "NetworkPolicy": ("spec", "podSelector", "matchLabels"),
}
# Kustomize adds to these selectors only where they are already.
_ONLY_EXISTING = frozenset({"PodDisruptionBudget", "NetworkPolicy"})


def _reach(start: Map, path: tuple[str, ...], mark: Mark, create: bool = True) -> Map | None:
    found = start
    for step in path:
        below = found.get(step)
        if below is None and create:
            below = Map(mark)
            found.put(step, below, mark)
        if not isinstance(below, Map):
            return None
        found = below
    return found


def _put_all(target: Map | None, values: Mapping[str, str], mark: Mark) -> None:
    if target is not None:
        for name, value in values.items():
            target.put(name, value, mark)


def set_namespace(objects: list[Map], namespace: str, mark: Mark) -> None:
    """Every object goes into the namespace; a Namespace object takes its name, as kustomize has it."""
    for one in objects:
        meta = _reach(one, ("metadata",), mark)
        if meta is None:
            continue
        kind = one.get("kind")
        if kind == "Namespace":
            meta.put("name", namespace, mark)
        elif kind not in CLUSTER_SCOPED:
            meta.put("namespace", namespace, mark)
        if kind in ("RoleBinding", "ClusterRoleBinding"):
            for subject in one.get("subjects") or []:
                if isinstance(subject, Map) and subject.get("name") == "default":
                    subject.put("namespace", namespace, mark)


def add_labels(objects: list[Map], pairs: Mapping[str, str], mark: Mark, *, selectors: bool, templates: bool) -> None:
    for one in objects:
        kind = str(one.get("kind"))
        _put_all(_reach(one, ("metadata", "labels"), mark), pairs, mark)
        if kind in _TEMPLATES and (templates or selectors):
            _put_all(_reach(one, (*_TEMPLATES[kind], "labels"), mark), pairs, mark)
        if kind in _SELECTORS and selectors:
            create = kind not in _ONLY_EXISTING
            _put_all(_reach(one, _SELECTORS[kind], mark, create), pairs, mark)


def add_annotations(objects: list[Map], pairs: Mapping[str, str], mark: Mark) -> None:
    for one in objects:
        _put_all(_reach(one, ("metadata", "annotations"), mark), pairs, mark)
        kind = str(one.get("kind"))
        if kind in _TEMPLATES:
            _put_all(_reach(one, (*_TEMPLATES[kind], "annotations"), mark), pairs, mark)


def split_image(image: str) -> tuple[str, str, str]:
    """`name`, `tag`, `digest` of an image reference; a registry's port is no tag."""
    rest, _, digest = image.partition("@")
    slash = rest.rfind("/")
    name, colon, tag = rest[slash + 1 :].partition(":")
    return rest[: slash + 1] + name, tag if colon else "", digest


def set_image(objects: list[Map], name: str, new_name: str, new_tag: str, digest: str, mark: Mark) -> None:
    for one in objects:
        for container in _containers(one):
            image = container.get("image")
            if not isinstance(image, str):
                continue
            old_name, old_tag, old_digest = split_image(image)
            if old_name != name:
                continue
            tag, hashed = (new_tag, digest) if new_tag or digest else (old_tag, old_digest)
            text = (new_name or old_name) + (f":{tag}" if tag else "") + (f"@{hashed}" if hashed else "")
            container.put("image", text, mark)


def _containers(value: Any) -> list[Map]:
    """Every item of `containers` and `initContainers`, wherever they are."""
    out: list[Map] = []
    if isinstance(value, Map):
        for name, item in value.items():
            if name in ("containers", "initContainers") and isinstance(item, list):
                out += [one for one in item if isinstance(one, Map)]
            else:
                out += _containers(item)
    elif isinstance(value, list):
        for item in value:
            out += _containers(item)
    return out


def set_replicas(objects: list[Map], name: str, count: int, mark: Mark) -> bool:
    """True when an object of that name took the number."""
    found = False
    for one in objects:
        meta = one.get("metadata")
        if one.get("kind") in ("Deployment", "ReplicaSet", "StatefulSet") and isinstance(meta, Map):
            spec = one.get("spec")
            if meta.get("name") == name and isinstance(spec, Map):
                spec.put("replicas", count, mark)
                found = True
    return found
