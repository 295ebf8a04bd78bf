"""What a cluster accepts and then fails at without a word: unknown hosts, subsets, gateways, providers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from meshtrail.manifests import kinds
from meshtrail.mesh import authorization, names, outliers, routing
from meshtrail.mesh.collectors import COLLECTORS
from meshtrail.mesh.findings import Findings
from meshtrail.mesh.model import Mesh, MeshService, container_port
from meshtrail.mesh.tracing import selects


def check(mesh: Mesh, gateways: Sequence[kinds.Gateway], findings: Findings) -> None:
    known_gateways = {f"{gateway.meta.namespace}/{gateway.meta.name}" for gateway in gateways}
    for virtual_service in mesh.virtual_services:
        if not virtual_service.generated_name:  # An HTTPRoute's parents are checked where they are resolved.
            _check_gateways(virtual_service, known_gateways, findings)
            _check_hosts(virtual_service, mesh, findings)
        for route in virtual_service.http:
            for field, destination in destinations(route):
                _check_destination(mesh, virtual_service, field, destination, findings)
    _check_same_host(mesh, findings)
    _check_telemetry(mesh, findings)
    outliers.check(mesh, findings)
    authorization.check(mesh, findings)


def check_service(service: kinds.Service, deployments: Sequence[kinds.Deployment], findings: Findings) -> None:
    """A Service needs pods, ports that they have, and each number once."""
    if not deployments:
        selector = ", ".join(f"{name}={value}" for name, value in service.selector.items()) or "nothing"
        findings.error(
            service.meta,
            "spec.selector",
            f"no Deployment of namespace {service.meta.namespace} has the labels it selects ({selector})",
            "give a Deployment's pod template these labels, or remove the Service",
        )
    seen: set[int] = set()
    for index, port in enumerate(service.ports):
        field = f"spec.ports[{index}]"
        if port.port in seen:
            findings.error(service.meta, f"{field}.port", f"port {port.port} stands twice", "number each port once")
        seen.add(port.port)
        for deployment in deployments:
            if container_port(deployment, port.target_port) is None:
                findings.error(
                    service.meta,
                    f"{field}.targetPort",
                    f"{deployment.meta.ref} has no container port named {port.target_port!r}",
                    "name one of its container ports, or give the number",
                )
        _warn_unnamed(service, index, port, findings)


def _warn_unnamed(service: kinds.Service, index: int, port: kinds.ServicePort, findings: Findings) -> None:
    prefix = port.name.lower().split("-", 1)[0]
    declared = {"tcp", "tls", "https", "mongo", "mysql", "redis", "udp", *names.HTTP_NAMES, *names.HTTP2_NAMES}
    if port.app_protocol or prefix in declared or port.protocol != "TCP":
        return
    shown = repr(port.name) if port.name else "without a name"
    findings.warn(
        service.meta,
        f"spec.ports[{index}].name",
        f"port {port.port} {shown} declares no protocol: treated as TCP, so it makes no spans",
        "name it http (or http-something), or set appProtocol: http",
    )


def host_mend(host: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(host, [name for name in known if name not in COLLECTORS], n=1)
    return f"did you mean {close[0]!r}?" if close else "name a Service of the mesh, or add a ServiceEntry for it"


def destinations(route: kinds.HttpRoute) -> Iterator[tuple[str, kinds.Destination]]:
    """Each destination of a route with its field: routed to and mirrored to."""
    if route.missing_backend_status is not None:  # of an HTTPRoute
        yield from ((f"{route.field}.backendRefs", entry.destination) for entry in route.route)
        yield from ((f"{route.field}.filters", mirror.destination) for mirror in route.mirrors)
        return
    for index, entry in enumerate(route.route):
        yield f"{route.field}.route[{index}].destination", entry.destination
    for index, mirror in enumerate(route.mirrors):
        field = "mirror" if len(route.mirrors) == 1 else f"mirrors[{index}].destination"
        yield f"{route.field}.{field}", mirror.destination


def destination_service(mesh: Mesh, namespace: str, destination: kinds.Destination) -> MeshService | None:
    return mesh.services.get(names.istio_host(destination.host, namespace))


def _check_gateways(virtual_service: kinds.VirtualService, known: set[str], findings: Findings) -> None:
    for name in routing.gateways_of(virtual_service):
        if name != routing.MESH and name not in known:
            findings.refuse(
                virtual_service.meta,
                "spec.gateways",
                f"no Gateway {name}",
                f"name one of: {', '.join(sorted(known)) or 'none exists, add a Gateway'}",
            )
    bound = set(routing.gateways_of(virtual_service))
    for route in virtual_service.http:
        for index, match in enumerate(route.matches):
            _check_authority(virtual_service, f"{route.field}.match[{index}].authority", match, findings)
            for name in routing.gateways_of(virtual_service, match):
                if name not in bound:
                    findings.refuse(
                        virtual_service.meta,
                        f"{route.field}.match[{index}].gateways",
                        f"{name} is not among the gateways of this VirtualService, so the match never holds",
                        "add it to spec.gateways, or remove it here",
                    )


def _check_authority(
    virtual_service: kinds.VirtualService, field: str, match: kinds.HttpMatch, findings: Findings
) -> None:
    """A sidecar's host is known beforehand, so its conditions are decided here, by Python's regular expressions."""
    if match.authority is None or routing.MESH not in routing.gateways_of(virtual_service, match):
        return
    if match.authority.type == "regex" and routing.compiled(match.authority.value) is None:
        findings.refuse(
            virtual_service.meta,
            f"{field}.regex",
            f"{match.authority.value!r} cannot be decided by the local mesh",
            "write it without RE2's own classes and flags, or use exact or prefix",
        )


def _check_hosts(virtual_service: kinds.VirtualService, mesh: Mesh, findings: Findings) -> None:
    bound = routing.gateways_of(virtual_service)
    if routing.MESH not in bound:
        return
    for index, host in enumerate(routing.hosts_of(virtual_service)):
        field = f"spec.hosts[{index}]"
        if host == "*":
            findings.error(
                virtual_service.meta, field, "the host * cannot be bound to the mesh", "name a service, or a gateway"
            )
        elif bound == (routing.MESH,) and not any(routing.host_matches(host, name) for name in mesh.services):
            written = virtual_service.hosts[index]
            findings.refuse(
                virtual_service.meta,
                field,
                f"no Service or ServiceEntry {written!r}, so these routes rule nothing",
                host_mend(host, mesh.services),
            )


def _check_destination(
    mesh: Mesh, virtual_service: kinds.VirtualService, field: str, destination: kinds.Destination, findings: Findings
) -> None:
    meta = virtual_service.meta
    host = names.istio_host(destination.host, meta.namespace)
    service = mesh.services.get(host)
    if service is None:
        findings.refuse(
            meta,
            field if virtual_service.generated_name else f"{field}.host",
            f"no Service or ServiceEntry {destination.host!r}",
            host_mend(host, mesh.services),
        )
        return
    numbers = [port.number for port in service.ports]
    if destination.port is not None and destination.port not in numbers:
        shown = ", ".join(map(str, numbers))
        findings.refuse(
            meta,
            field if virtual_service.generated_name else f"{field}.port",
            f"Service {service.name} has no port {destination.port}",
            f"use one of: {shown}",
        )
    elif destination.port is None and len(numbers) > 1:
        gateway = any(name != routing.MESH for name in routing.gateways_of(virtual_service))
        if gateway:
            findings.refuse(
                meta,
                f"{field}.port",
                f"Service {service.name} has several ports and the route names none",
                f"add port.number, one of: {', '.join(map(str, numbers))}",
            )
    rule = mesh.destination_rules.get(host)
    subsets = [subset.name for subset in rule.subsets] if rule else []
    if destination.subset and destination.subset not in subsets:
        findings.refuse(
            meta,
            f"{field}.subset",
            f"no DestinationRule for {destination.host} has a subset {destination.subset!r}",
            f"use one of: {', '.join(subsets)}" if subsets else "add a DestinationRule with this subset",
        )


def _check_same_host(mesh: Mesh, findings: Findings) -> None:
    owners: dict[str, kinds.VirtualService] = {}
    for virtual_service in mesh.virtual_services:
        if routing.MESH not in routing.gateways_of(virtual_service):
            continue
        for host in routing.hosts_of(virtual_service):
            other = owners.setdefault(host, virtual_service)
            if other is virtual_service:
                continue
            if virtual_service.generated_name and not other.generated_name:
                findings.warn(
                    other.meta,
                    "spec.hosts",
                    f"sidecars of namespace {virtual_service.meta.namespace} follow {virtual_service.meta.ref} for "
                    f"{host}, not these routes",
                    "remove one of the two",
                )
            elif virtual_service.meta.namespace == other.meta.namespace or not virtual_service.generated_name:
                findings.refuse(
                    virtual_service.meta,
                    "spec.hosts",
                    f"{host} is already ruled by {other.meta.ref}: sidecars follow only one of the two",
                    "put the routes of both into one VirtualService",
                )


def _check_telemetry(mesh: Mesh, findings: Findings) -> None:
    for name in mesh.config.default_tracing_providers[:1]:
        _check_provider(mesh, mesh.config.meta, "defaultProviders.tracing", name, findings)
    scopes: dict[str, kinds.Telemetry] = {}
    for telemetry in mesh.telemetries:
        if not telemetry.tracing:
            continue
        if not telemetry.selector:
            other = scopes.setdefault(telemetry.meta.namespace, telemetry)
            if other is not telemetry:
                findings.refuse(
                    telemetry.meta,
                    "metadata.namespace",
                    f"{other.meta.ref} already rules this whole namespace: only one of the two counts",
                    "put both into one Telemetry, or give this one a selector",
                )
        elif not any(
            selects(telemetry.selector, labels)
            for namespace, labels in _proxies(mesh)
            if namespace == telemetry.meta.namespace
        ):
            findings.warn(telemetry.meta, "spec.selector", "selects no workload of its namespace", "check the labels")
        for index, tracing in enumerate(telemetry.tracing):
            for name in tracing.providers[:1]:
                _check_provider(mesh, telemetry.meta, f"spec.tracing[{index}].providers", name, findings)


def _proxies(mesh: Mesh) -> Iterator[tuple[str, dict[str, str]]]:
    for workload in mesh.workloads.values():
        yield workload.namespace, dict(workload.labels)
    for gateway in mesh.gateways:
        yield gateway.namespace, dict(gateway.labels)


def _check_provider(mesh: Mesh, meta: kinds.Meta, field: str, name: str, findings: Findings) -> None:
    known = ", ".join(provider.name for provider in mesh.config.providers) or "none is defined"
    provider = next((entry for entry in mesh.config.providers if entry.name == name), None)
    if provider is None:
        reason = "does not trace" if name in mesh.config.other_providers else "is not in meshConfig.extensionProviders"
        findings.refuse(meta, field, f"provider {name!r} {reason}: no spans would be sent", f"use one of: {known}")
        return
    wanted = {"opentelemetry": "otlp_http" if provider.http_path else "otlp_grpc", "zipkin": "zipkin"}[provider.type]
    port = mesh.collector_port(provider)
    if port is not None and wanted == "otlp_grpc" and port.protocol != "http2":
        findings.refuse(
            meta,
            field,
            f"provider {name!r} sends gRPC to {provider.service}:{provider.port}, whose port is named {port.name!r}: "
            "a sidecar speaks HTTP/1.1 there, and no span arrives",
            "name the port of that Service grpc-otlp",
        )
    if port is None:
        possible = ", ".join(
            f"{collector.fqdn}:{entry.number}"
            for collector in COLLECTORS.values()
            for entry in collector.ports
            if entry.store == wanted
        )
        findings.refuse(
            meta,
            field,
            f"provider {name!r} sends {provider.type} to {provider.service}:{provider.port}, where nothing of the mesh "
            "takes it",
            f"point the provider to {possible}, which the trace store plays",
        )
