"""Kustomize patches: strategic merge and JSON 6902, on documents that keep their places."""

from __future__ import annotations

from typing import Any

from meshtrail.errors import ManifestError, Problem
from meshtrail.manifests.document import List, Map, Mark, clone

# Lists that a strategic merge joins by key, from Kubernetes' own types; every other list is replaced as a whole.
# A path is that of the field below the object, items left out.
_POD = "spec.template.spec"
_CONTAINER_KEYS = {
    "": "name",
    ".env": "name",
    ".ports": "containerPort",
    ".volumeMounts": "mountPath",
    ".volumeDevices": "devicePath",
}
MERGE_KEYS: dict[tuple[str, str], str] = {
    ("Deployment", f"{_POD}.volumes"): "name",
    ("Deployment", f"{_POD}.imagePullSecrets"): "name",
    ("Deployment", f"{_POD}.hostAliases"): "ip",
    ("Deployment", f"{_POD}.topologySpreadConstraints"): "topologyKey",
    ("Service", "spec.ports"): "port",
    ("ServiceAccount", "secrets"): "name",
    **{
        ("Deployment", f"{_POD}.{containers}{below}"): key
        for containers in ("containers", "initContainers")
        for below, key in _CONTAINER_KEYS.items()
    },
}


def fail(message: str, mark: Mark, field: str = "", mend: str = "") -> ManifestError:
    return ManifestError([Problem(message, mark.file, mark.line, "", field, mend)])


# --------------------------------------------------------------------------------------- strategic merge


def strategic_merge(target: Map, patch: Map, *, rename: bool = False) -> Map | None:
    """The object with the patch merged in; None when the patch deletes it. `target` is not changed.

    With `rename` it takes the patch's name (`allowNameChange`), else it keeps its own.
    """
    kind = str(target.get("kind"))
    if patch.get("$patch") == "delete":
        return None
    # Identity is for finding the object, not for changing it.
    own = clone(patch)
    for name in ("kind", "apiVersion"):
        own.pop(name, None)
    merged = _merge_map(kind, clone(target), own, "")
    if isinstance(merged.get("metadata"), Map) and isinstance(target.get("metadata"), Map):
        for name in ("namespace",) if rename else ("name", "namespace"):
            if name in target["metadata"]:
                merged["metadata"].put(name, target["metadata"][name], target["metadata"].where(name))
            else:
                merged["metadata"].pop(name, None)
    return merged


def _merge_map(kind: str, into: Map, patch: Map, path: str) -> Map:
    directive = patch.get("$patch")
    if directive == "replace":
        fresh = _stripped(patch)
        assert isinstance(fresh, Map)
        fresh.pop("$patch", None)
        return fresh
    if directive not in (None, "merge"):
        raise fail(f"$patch: {directive!r} is not supported here", patch.where("$patch"), path, "use delete or replace")
    for name, value in patch.items():
        below = f"{path}.{name}" if path else name
        mark = patch.where(name)
        if name == "$patch":
            continue
        if name.startswith("$"):
            raise fail(f"{name} is not supported", mark, below, "use $patch: delete or $patch: replace")
        old = into.get(name)
        if value is None or (isinstance(value, Map) and value.get("$patch") == "delete"):
            into.pop(name, None)
        elif isinstance(value, Map) and isinstance(old, Map):
            into.put(name, _merge_map(kind, old, value, below), into.where(name))
        elif isinstance(value, List) and (kind, below) in MERGE_KEYS:
            merged = _merge_list(kind, old if isinstance(old, List) else List(mark), value, below)
            if merged:
                into.put(name, merged, into.marks.get(name, mark))
            else:
                into.pop(name, None)
        else:
            into.put(name, _stripped(value), mark)
    return into


def _stripped(value: Any) -> Any:
    """A value that is new in the object: nulls in it delete nothing and are left out."""
    if isinstance(value, Map):
        out = Map(value.mark)
        for name, item in value.items():
            if item is not None and not (isinstance(item, Map) and item.get("$patch") == "delete"):
                out.put(name, _stripped(item), value.where(name))
        return out
    if isinstance(value, List):
        items = List(value.mark)
        items.extend(_stripped(item) for item in value)
        return items
    return value


def _merge_list(kind: str, old: List, patch: List, path: str) -> List:
    """Items joined by the merge key; those of the patch come first, as kustomize orders them."""
    key = MERGE_KEYS[kind, path]
    out = List(old.mark if old else patch.mark)
    rest = list(old)
    for item in patch:
        if not isinstance(item, Map):
            raise fail("an item must be a mapping", patch.mark, path)
        if item.get("$patch") == "replace" and key not in item:
            raise fail("$patch: replace of a whole list is not supported", item.mark, path, "name each item")
        if item.get(key) is None:
            raise fail(f"an item needs {key}, which says what it is merged with", item.mark, path)
        same = [one for one in rest if isinstance(one, Map) and _same_item(one, item, key)]
        rest = [one for one in rest if not any(one is other for other in same)]
        if item.get("$patch") == "delete":
            continue
        if same:
            out.append(_merge_map(kind, same[0], item, path))
        else:
            fresh = _stripped(item)
            fresh.pop("$patch", None)
            out.append(fresh)
    out.extend(rest)
    return out


def _same_item(old: Map, new: Map, key: str) -> bool:
    if old.get(key) != new.get(key):
        return False
    # One port number may be open for TCP and for UDP.
    protocols = {one.get("protocol") for one in (old, new)} - {None} if key in ("containerPort", "port") else set()
    return len(protocols) < 2


# ------------------------------------------------------------------------------------------------- JSON 6902


def json_patch(target: Map, operations: List) -> Map:
    """The object after a JSON 6902 patch (add, remove, replace, test, copy, move). `target` is not changed."""
    document: Map = clone(target)
    for operation in operations:
        if not isinstance(operation, Map):
            raise fail("an operation must be a mapping", operations.mark)
        document = _operate(document, operation)
    return document


def _operate(document: Map, operation: Map) -> Map:
    mark = operation.mark
    name, path = operation.get("op"), operation.get("path")
    unknown = sorted(set(operation) - {"op", "path", "value", "from"})
    if unknown:
        raise fail(f"unknown field {unknown[0]!r}", operation.where(unknown[0]), "", "known: op, path, value, from")
    if name not in ("add", "remove", "replace", "test", "copy", "move"):
        raise fail(f"{name!r} is not an operation", mark, "op", "one of add, remove, replace, test, copy, move")
    if not isinstance(path, str) or not path.startswith("/"):
        raise fail("must be a JSON pointer such as /spec/replicas", mark, "path")
    value = operation.get("value")
    if name in ("add", "replace", "test") and "value" not in operation:
        raise fail(f"{name} needs a value", mark, path)
    if name in ("copy", "move"):
        source = operation.get("from")
        if not isinstance(source, str) or not source.startswith("/"):
            raise fail(f"{name} needs from, a JSON pointer", mark, path)
        if name == "move" and (path == source or path.startswith(f"{source}/")):
            raise fail("cannot move a value into itself", mark, path)
        value = _find(document, source, mark)
        if name == "move":
            parent, last = _parent(document, source, mark)
            del parent[_position(parent, last, source, mark)]
    if name == "test":
        if _find(document, path, mark) != value:
            raise fail("the test failed: the value is another one", mark, path)
        return document
    parent, last = _parent(document, path, mark)
    if name == "remove":
        _find(document, path, mark)
        del parent[_position(parent, last, path, mark)]
    elif isinstance(parent, Map):
        if name == "replace":
            _find(document, path, mark)
        parent.put(last, clone(value), operation.mark)
    elif name == "replace":
        parent[_position(parent, last, path, mark)] = clone(value)
    elif last == "-":
        parent.append(clone(value))
    else:
        parent.insert(_position(parent, last, path, mark, room=1), clone(value))
    return document


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _parent(document: Map, pointer: str, mark: Mark) -> tuple[Any, str]:
    value: Any = document
    steps = _steps(pointer)
    for step in steps[:-1]:
        value = value[_position(value, step, pointer, mark)]
    if not isinstance(value, Map | List):
        raise fail("the path leads through a plain value", mark, pointer)
    return value, steps[-1]


def _find(document: Map, pointer: str, mark: Mark) -> Any:
    parent, last = _parent(document, pointer, mark)
    return parent[_position(parent, last, pointer, mark)]


def _position(container: Any, step: str, pointer: str, mark: Mark, room: int = 0) -> Any:
    if isinstance(container, Map):
        if step not in container:
            raise fail(f"there is no {step!r} to follow", mark, pointer)
        return step
    if isinstance(container, List):
        if step.isascii() and step.isdigit() and len(step) < 7 and int(step) < len(container) + room:
            return int(step)
        raise fail(f"there is no item {step!r}", mark, pointer)
    raise fail("the path leads through a plain value", mark, pointer)
