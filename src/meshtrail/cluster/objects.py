"""Objects as `kubectl get -o json` gives them: plain JSON, read leniently, since a cluster holds whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]


def dig(one: Any, *path: str | int, default: Any = None) -> Any:
    """The value at a path of keys and positions; `default` when a step is not there or holds nothing."""
    for step in path:
        if isinstance(step, int):
            one = one[step] if isinstance(one, list) and len(one) > step else None
        else:
            one = one.get(step) if isinstance(one, Mapping) else None
        if one is None:
            return default
    return one


def name(one: Object) -> str:
    return str(dig(one, "metadata", "name", default=""))


def namespace(one: Object) -> str:
    return str(dig(one, "metadata", "namespace", default=""))


def key(one: Object) -> str:
    """`namespace/name`."""
    return f"{namespace(one)}/{name(one)}"


def title(one: Object) -> str:
    """`Kind namespace/name`, or `Kind name` where there is no namespace."""
    return f"{one.get('kind', 'object')} {key(one).lstrip('/')}"


def labels(one: Object) -> dict[str, str]:
    return dict(dig(one, "metadata", "labels", default={}))


def annotations_of(one: Object) -> dict[str, str]:
    return dict(dig(one, "metadata", "annotations", default={}))


def group(one: Object) -> str:
    """The API group, empty for the core one."""
    return str(one.get("apiVersion", "")).rpartition("/")[0]


def selects(selector: Mapping[str, str], found: Mapping[str, str]) -> bool:
    """Whether labels satisfy `matchLabels`; an empty selector selects nothing, as a Service's does."""
    return bool(selector) and all(found.get(label) == value for label, value in selector.items())


def matches(selector: Object | None, found: Mapping[str, str]) -> bool:
    """Whether labels satisfy a whole LabelSelector; an empty or absent one matches everything, as a webhook's does."""
    if any(found.get(label) != value for label, value in dig(selector, "matchLabels", default={}).items()):
        return False
    for expression in dig(selector, "matchExpressions", default=[]):
        value, values = found.get(expression["key"]), expression.get("values") or []
        holds = {
            "In": value is not None and value in values,
            "NotIn": value is None or value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds.get(expression["operator"], False):
            return False
    return True


def environment(container: Object) -> dict[str, str]:
    """A container's variables that have their value in the manifest."""
    return {str(entry["name"]): str(entry["value"]) for entry in container.get("env") or [] if "value" in entry}
