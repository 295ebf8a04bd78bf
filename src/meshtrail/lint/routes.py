"""Where VirtualServices and HTTPRoutes send requests, and which evidence of a mesh there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshtrail.lint.bundle import Bundle, Membership
from meshtrail.lint.objects import Object, Path, dig, sequence, text, whole
from meshtrail.manifests.document import Map

DOMAIN = ".svc.cluster.local"
MESH = "mesh"


@dataclass(frozen=True, slots=True, eq=False)
class Destination:
    """`host` as written; `path` is that of the destination. `idle`: a route of weight 0."""

    object: Object
    path: Path
    host: str
    subset: str
    port: int | None
    idle: bool = False


def destinations(one: Object) -> Iterator[Destination]:
    """Every destination of a VirtualService: routed to (HTTP, TCP, TLS) and mirrored to."""
    for section in ("http", "tcp", "tls"):
        for path, route in one.items("spec", section):
            for index, entry in enumerate(sequence(route.get("route"))):
                idle = dig(entry, ("weight",)) == 0
                yield from _destination(one, (*path, "route", index, "destination"), dig(entry, ("destination",)), idle)
            yield from _destination(one, (*path, "mirror"), route.get("mirror"))
            for index, entry in enumerate(sequence(route.get("mirrors"))):
                yield from _destination(one, (*path, "mirrors", index, "destination"), dig(entry, ("destination",)))


def _destination(one: Object, path: Path, found: object, idle: bool = False) -> Iterator[Destination]:
    if isinstance(found, Map):
        port = whole(dig(found, ("port", "number")))
        yield Destination(one, path, text(found.get("host")), text(found.get("subset")), port, idle)


def service_name(host: str, namespace: str) -> tuple[str, str] | None:
    """Name and namespace of the Service that a host means in an Istio object; None for a host of another kind.

    Istio completes only a name without a dot; one with dots it takes as it is.
    """
    if "*" in host:
        return None
    if "." not in host:
        return host, namespace
    name, _, rest = host.partition(".")
    place, svc, _ = rest.partition(".svc.")
    return (name, place) if svc and place and "." not in place else None


def short_for(host: str) -> tuple[str, str] | None:
    """Name and namespace when a host has the form `name.namespace` or `name.namespace.svc`, which Istio misreads."""
    parts = host.split(".")
    if len(parts) == 2 or (len(parts) == 3 and parts[2] == "svc"):
        return parts[0], parts[1]
    return None


def gateways_of(one: Object) -> list[str]:
    """The gateways that a VirtualService is bound to; `mesh` stands for the sidecars."""
    return [text(name) for name in sequence(one.get("spec", "gateways"))] or [MESH]


def at_gateway(one: Object) -> bool:
    return any(name != MESH for name in gateways_of(one))


def evidence(bundle: Bundle, service: Object) -> Membership:
    """`service_membership`, where `unknown` becomes `sidecar` when an Istio object is there for the Service."""
    found = bundle.service_membership(service)
    if found != "unknown":
        return found
    named = {
        service_name(host, one.namespace)
        for one in bundle.of("DestinationRule", "istio.io")
        for host in [text(one.get("spec", "host"))]
    } | {
        service_name(one.host, one.object.namespace)
        for virtual_service in bundle.of("VirtualService", "istio.io")
        if not at_gateway(virtual_service) or MESH in gateways_of(virtual_service)
        for one in destinations(virtual_service)
    }
    return "sidecar" if (service.name, service.namespace) in named else "unknown"
