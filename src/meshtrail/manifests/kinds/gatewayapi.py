"""The Gateway API: gateways that Istio runs by itself, and routes at them or at a Service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from meshtrail.manifests.kinds.istio import HttpRoute
from meshtrail.manifests.kinds.meta import Meta

API_GATEWAY = "Gateway.gateway.networking.k8s.io"
"""The Gateway API's Gateway as kubectl tells it from Istio's: the two may share a name."""


@dataclass(frozen=True, slots=True)
class ApiListener:
    """`hostname` "" takes any host. `routes_from`: which namespaces may bind routes; `selector` is by their labels."""

    name: str
    port: int
    hostname: str = ""
    routes_from: Literal["Same", "All", "Selector"] = "Same"
    selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApiGateway:
    meta: Meta
    class_name: str
    listeners: tuple[ApiListener, ...]


@dataclass(frozen=True, slots=True)
class ParentRef:
    """What a route belongs to. `section` is a listener's name; `port` None: every port."""

    kind: Literal["Gateway", "Service"]
    name: str
    namespace: str
    section: str = ""
    port: int | None = None


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """An HTTPRoute. Its rules are in the form of a VirtualService's routes, one for each match, in the file's order."""

    meta: Meta
    parents: tuple[ParentRef, ...]
    hostnames: tuple[str, ...]
    rules: tuple[HttpRoute, ...]
