"""The real kustomize, where there is one: the judge of ours."""

from __future__ import annotations

from typing import Any

from tests.support.documents import documents


def by_name(objects: list[Any]) -> list[Any]:
    """In an order that does not depend on who built them."""
    return sorted(objects, key=lambda one: (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]))


def real_build(output: str) -> list[Any]:
    """The objects that `kustomize build` wrote."""
    return by_name(documents(output))
