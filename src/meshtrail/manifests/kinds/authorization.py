"""Istio's AuthorizationPolicy, as far as it asks about requests and not about who sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from meshtrail.manifests.kinds.meta import Meta


@dataclass(frozen=True, slots=True)
class OneOf:
    """A condition on one property: any of `values` holds, or with `inverted` none does.

    A value is exact, or has a `*` at its begin or end. `name` is the header of a `header` condition.
    """

    property: Literal["host", "method", "path", "port", "header"]
    values: tuple[str, ...]
    inverted: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class AuthorizationRule:
    """Holds when all of `when` hold, and all conditions of one of `to`; an empty `to` asks nothing."""

    to: tuple[tuple[OneOf, ...], ...] = ()
    when: tuple[OneOf, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorizationPolicy:
    """`selector` empty: the whole namespace; in the root namespace: the whole mesh.

    `carried_out` is false for one that was read leniently though it asks who the caller is: without that condition it
    would say something else.
    """

    meta: Meta
    selector: Mapping[str, str]
    action: Literal["ALLOW", "DENY"]
    rules: tuple[AuthorizationRule, ...]
    carried_out: bool = True
