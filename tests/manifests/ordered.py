"""Objects of ours and of the real kustomize, made comparable."""

from __future__ import annotations

from typing import Any


def by_name(objects: list[Any]) -> list[Any]:
    """In an order that does not depend on who built them."""
    return sorted(objects, key=lambda one: (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]))
