"""Which VirtualService rules a request: for a sidecar by the service called, for a gateway by the host asked for."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence

from meshtrail.manifests import kinds
from meshtrail.mesh import names
from meshtrail.mesh.model import GatewayListener, Mesh, MeshService
from meshtrail.mesh.tracing import selects

MESH = "mesh"
"""The reserved gateway name that means every sidecar."""


def gateways_of(virtual_service: kinds.VirtualService, match: kinds.HttpMatch | None = None) -> tuple[str, ...]:
    """`namespace/name` of each gateway that it (or one of its matches) is bound to; `mesh` for the sidecars."""
    written = (match.gateways if match else ()) or virtual_service.gateways or (MESH,)
    namespace = virtual_service.meta.namespace
    return tuple(name if name == MESH or "/" in name else f"{namespace}/{name}" for name in written)


def hosts_of(virtual_service: kinds.VirtualService) -> tuple[str, ...]:
    return tuple(names.istio_host(host, virtual_service.meta.namespace) for host in virtual_service.hosts)


def host_matches(pattern: str, host: str) -> bool:
    """Istio's host patterns: `*`, `*.suffix`, or the name itself."""
    return pattern == "*" or pattern == host or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def hosts_overlap(one: str, other: str) -> str:
    """The narrower of two host patterns when one lies within the other, else an empty text."""
    if host_matches(one, other):
        return other
    return one if host_matches(other, one) else ""


def for_service(mesh: Mesh, service: MeshService, namespace: str) -> kinds.VirtualService | None:
    """The VirtualService that sidecars of `namespace` follow for requests to `service`.

    HTTPRoutes of the caller's own namespace come first, then an exact host, then a wildcard.
    """
    wildcard: kinds.VirtualService | None = None
    own = [one for one in mesh.virtual_services if one.generated_name and one.meta.namespace == namespace]
    others = [one for one in mesh.virtual_services if one not in own]
    for virtual_service in (*own, *others):
        if MESH not in gateways_of(virtual_service):
            continue
        # An HTTPRoute speaks for the callers of its namespace, or to those of a Service of its namespace.
        if virtual_service.generated_name and virtual_service.meta.namespace not in (namespace, service.namespace):
            continue
        hosts = hosts_of(virtual_service)
        if service.fqdn in hosts:
            return virtual_service
        if wildcard is None and any(host_matches(host, service.fqdn) for host in hosts):
            wildcard = virtual_service
    return wildcard


def for_gateway(mesh: Mesh, listener: GatewayListener) -> dict[str, list[kinds.VirtualService]]:
    """Each host that a gateway's port serves with the VirtualServices that give its routes, in order."""
    result: dict[str, list[kinds.VirtualService]] = {}
    for virtual_service in mesh.virtual_services:
        bound = gateways_of(virtual_service)
        for server in listener.servers:
            if server.gateway not in bound:
                continue
            for host in hosts_of(virtual_service):
                for pattern in server.hosts:
                    shared = hosts_overlap(_server_host(pattern), host)
                    if not shared or not _namespace_allows(pattern, server.namespace, virtual_service):
                        continue
                    entries = result.setdefault(shared, [])
                    if virtual_service not in entries:
                        entries.append(virtual_service)
    return result


def _server_host(pattern: str) -> str:
    return pattern.rsplit("/", 1)[-1]


def _namespace_allows(pattern: str, gateway_namespace: str, virtual_service: kinds.VirtualService) -> bool:
    if "/" not in pattern:
        return True
    allowed = pattern.split("/", 1)[0]
    wanted = gateway_namespace if allowed == "." else allowed
    return wanted in ("*", virtual_service.meta.namespace)


def applies(
    match: kinds.HttpMatch,
    virtual_service: kinds.VirtualService,
    *,
    gateways: Sequence[str],
    port: int,
    labels: Mapping[str, str],
    namespace: str,
) -> bool:
    """Whether a match can hold for a proxy at all: its gateway, port, source labels and source namespace."""
    if not any(gateway in gateways_of(virtual_service, match) for gateway in gateways):
        return False
    if match.port is not None and match.port != port:
        return False
    if match.source_namespace and match.source_namespace != namespace:
        return False
    return selects(match.source_labels, labels)


def string_holds(condition: kinds.StringMatch, text: str) -> bool:
    """Whether `text` meets the condition: for what is known before any request, as a sidecar's authority is."""
    if condition.type == "exact":
        return text == condition.value
    if condition.type == "prefix":
        return text.startswith(condition.value)
    if condition.type == "regex":
        pattern = compiled(condition.value)
        return pattern is not None and pattern.fullmatch(text) is not None
    return bool(text)


def compiled(regex: str) -> re.Pattern[str] | None:
    """A regular expression in RE2's syntax for use here; None when Python reads it otherwise or not at all."""
    if re.search(r"\\[pPQC]|\[\[:|\(\?[a-zA-Z]*[-U]", regex):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(regex.replace(r"\z", r"\Z"), re.ASCII)
    except (re.error, Warning, OverflowError, RecursionError):
        return None
