"""From manifests to the mesh: names resolved, everything that would fail silently on a cluster said aloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from meshtrail.errors import ManifestError, Warnings
from meshtrail.manifests import kinds
from meshtrail.mesh import checks, collectors, environment, gatewayapi, names
from meshtrail.mesh.collectors import COLLECTORS
from meshtrail.mesh.findings import Findings
from meshtrail.mesh.model import (
    GatewayListener,
    GatewayProxy,
    GatewayServer,
    InboundPort,
    Mesh,
    MeshPort,
    MeshService,
    Workload,
    WorkloadKey,
    container_port,
)
from meshtrail.mesh.tracing import selects

T = TypeVar("T")

INGRESS_LABELS = {"istio": "ingressgateway", "app": "istio-ingressgateway"}
INGRESS = GatewayProxy(
    name="istio-ingressgateway",
    namespace="istio-system",
    labels=INGRESS_LABELS,
    app="istio-ingressgateway",
    revision="latest",
    service_name="istio-ingressgateway.istio-system",
)
"""The ingress gateway of Istio's demo profile."""

INGRESS_TARGETS = {80: 8080, 443: 8443}
"""Ports of the ingress gateway's Service that lead to another port of its pod."""


class Source(Protocol):
    """What `build` needs of the manifests: the objects of one kind, in the order they were read."""

    def of(self, cls: type[T]) -> list[T]: ...


def build(manifests: Source, *, lenient: bool = False, warnings: Warnings | None = None) -> Mesh:
    """The mesh that `manifests` describe. Raises ManifestError with every problem found.

    `lenient` turns what a cluster would accept, and then carry out badly, into warnings.
    """
    findings = Findings(lenient=lenient, warnings=warnings if warnings is not None else Warnings())
    config = next(iter(reversed(manifests.of(kinds.MeshConfig))), None) or kinds.MeshConfig(
        kinds.Meta("MeshConfig", "istio", "istio-system")
    )
    maps = {(m.meta.kind, m.meta.namespace, m.meta.name): m for m in manifests.of(kinds.ConfigMap)}
    deployments = manifests.of(kinds.Deployment)
    services = _services(manifests, deployments, findings)
    workloads = _workloads(deployments, manifests.of(kinds.Namespace), manifests.of(kinds.Service), services, findings)
    workloads = {key: _with_references(w, maps, services, findings) for key, w in workloads.items()}
    namespaces = {namespace.meta.name: namespace for namespace in manifests.of(kinds.Namespace)}
    api_gateways = manifests.of(kinds.ApiGateway)
    from_routes = gatewayapi.virtual_services(
        manifests.of(kinds.ApiRoute), api_gateways, services, namespaces, findings
    )
    ingress, own = _gateway(manifests.of(kinds.Gateway), findings), gatewayapi.proxies(api_gateways, namespaces)
    mesh = Mesh(
        workloads=workloads,
        services=services,
        # The ingress gateway is there for Istio's Gateways; without one, and with other gateways, it has no work.
        gateways=(ingress, *own) if ingress.listeners or not own else tuple(own),
        virtual_services=(*manifests.of(kinds.VirtualService), *from_routes),
        destination_rules=_destination_rules(manifests.of(kinds.DestinationRule), services, findings),
        telemetries=tuple(manifests.of(kinds.Telemetry)),
        envoy_filters=tuple(manifests.of(kinds.EnvoyFilter)),
        authorization_policies=tuple(manifests.of(kinds.AuthorizationPolicy)),
        config=config,
        config_maps=maps,
    )
    checks.check(mesh, manifests.of(kinds.Gateway), findings)
    if findings.problems:
        raise ManifestError(findings.problems)
    return mesh


def _services(manifests: Source, deployments: list[kinds.Deployment], findings: Findings) -> dict[str, MeshService]:
    result = dict(COLLECTORS)
    for service in manifests.of(kinds.Service):
        full = names.fqdn(service.meta.name, service.meta.namespace)
        if full in COLLECTORS:
            result[full] = collectors.as_written(COLLECTORS[full], service)
            continue
        keys = tuple(
            (d.meta.namespace, d.meta.name)
            for d in deployments
            if d.meta.namespace == service.meta.namespace and service.selector and selects(service.selector, d.labels)
        )
        checks.check_service(service, [d for d in deployments if (d.meta.namespace, d.meta.name) in keys], findings)
        result[full] = MeshService(
            fqdn=full,
            name=service.meta.name,
            namespace=service.meta.namespace,
            ports=tuple(
                MeshPort(p.port, p.name, names.protocol(p.name, p.app_protocol), p.target_port) for p in service.ports
            ),
            workloads=keys,
        )
    for entry in manifests.of(kinds.ServiceEntry):
        for host in entry.hosts:
            if host in result:
                findings.error(entry.meta, "spec.hosts", f"{host} is already a Service of the mesh", "remove one")
                continue
            result[host] = MeshService(
                fqdn=host,
                name=host,
                namespace=entry.meta.namespace,
                ports=tuple(
                    MeshPort(p.port, p.name, names.protocol(p.protocol.lower()), p.target_port or p.port)
                    for p in entry.ports
                ),
                external=entry,
            )
    return result


def _workloads(
    deployments: list[kinds.Deployment],
    namespaces: list[kinds.Namespace],
    manifests_services: list[kinds.Service],
    services: Mapping[str, MeshService],
    findings: Findings,
) -> dict[WorkloadKey, Workload]:
    labelled = {namespace.meta.name: namespace.meta.labels for namespace in namespaces}
    result: dict[WorkloadKey, Workload] = {}
    for deployment in deployments:
        meta = deployment.meta
        if not deployment.containers:
            findings.error(meta, "spec.template.spec.containers", "has no container", "add one")
            continue
        inbound = _inbound(deployment, manifests_services, services, findings)
        declared = [port.port for container in deployment.containers for port in container.ports]
        ports = tuple(dict.fromkeys([*declared, *(port.port for port in inbound)]))
        result[(meta.namespace, meta.name)] = Workload(
            name=meta.name,
            namespace=meta.namespace,
            labels=deployment.labels,
            annotations=deployment.annotations,
            app=names.canonical_service(deployment.labels, meta.name),
            revision=names.canonical_revision(deployment.labels),
            service_name=names.tracing_service(deployment.labels, meta.namespace, meta.name),
            injected=is_injected(labelled.get(meta.namespace, {}), deployment.labels, deployment.annotations),
            replicas=deployment.replicas,
            deployment=deployment,
            ports=ports,
            inbound=inbound,
            excluded_inbound=_ports_annotation(deployment, "traffic.sidecar.istio.io/excludeInboundPorts", findings),
            excluded_outbound=_ports_annotation(deployment, "traffic.sidecar.istio.io/excludeOutboundPorts", findings),
        )
    return result


def is_injected(namespace: Mapping[str, str], labels: Mapping[str, str], annotations: Mapping[str, str]) -> bool:
    """Istio's injection rule: a disabled namespace never, then the pod's own word, then the namespace's."""
    if namespace.get("istio-injection") == "disabled":
        return False
    own = labels.get("sidecar.istio.io/inject", annotations.get("sidecar.istio.io/inject", ""))
    if own in ("true", "false"):
        return own == "true"
    return namespace.get("istio-injection") == "enabled" or "istio.io/rev" in namespace


def _inbound(
    deployment: kinds.Deployment,
    manifests_services: list[kinds.Service],
    services: Mapping[str, MeshService],
    findings: Findings,
) -> tuple[InboundPort, ...]:
    key = (deployment.meta.namespace, deployment.meta.name)
    taken: dict[int, InboundPort] = {}
    for source in manifests_services:
        service = services[names.fqdn(source.meta.name, source.meta.namespace)]
        if key not in service.workloads:
            continue
        for index, port in enumerate(service.ports):
            number = container_port(deployment, port.target)
            if number is None:
                continue  # Reported by check_service.
            other = taken.get(number)
            if other is None:
                taken[number] = InboundPort(number, port.protocol, service.fqdn, port.number)
            elif other.protocol != port.protocol:
                findings.refuse(
                    source.meta,
                    f"spec.ports[{index}]",
                    f"container port {number} of {deployment.meta.ref} is {other.protocol} to {other.service_fqdn} and "
                    f"{port.protocol} here: a sidecar takes it for one of the two",
                    "declare the same protocol in both Services",
                )
            elif other.service_fqdn != service.fqdn:
                # Istio takes the older one's name; files have no age.
                findings.warn(
                    source.meta,
                    f"spec.ports[{index}]",
                    f"container port {number} of {deployment.meta.ref} is already served by {other.service_fqdn}:"
                    f"{other.service_port}: a request of a caller without sidecar gets that name in its span",
                    "nothing, when all callers have a sidecar",
                )
    return tuple(taken.values())


def _ports_annotation(deployment: kinds.Deployment, name: str, findings: Findings) -> frozenset[int]:
    text = deployment.annotations.get(name, "")
    result: set[int] = set()
    for item in filter(None, (part.strip() for part in text.split(","))):
        if item.isdigit() and 0 < int(item) < 65536:
            result.add(int(item))
        else:
            field = f"spec.template.metadata.annotations[{name}]"
            findings.error(deployment.meta, field, f"{item!r} is not a port", 'write numbers, as "4317,4318"')
    return frozenset(result)


def _with_references(
    workload: Workload, maps: environment.ConfigMaps, services: Mapping[str, MeshService], findings: Findings
) -> Workload:
    values, missing = environment.resolve(workload.deployment, workload.name, maps)
    references, unknown = environment.references(values, workload.namespace, services)
    findings.problems += environment.unresolved_problems(workload.deployment, [*missing, *unknown])
    return replace(workload, references=tuple(references))


def _gateway(gateways: list[kinds.Gateway], findings: Findings) -> GatewayProxy:
    ports: dict[int, list[GatewayServer]] = {}
    numbers: dict[int, int] = {}
    for gateway in gateways:
        if not selects(gateway.selector, INGRESS.labels):
            findings.refuse(
                gateway.meta,
                "spec.selector",
                f"selects no gateway: {dict(gateway.selector)}",
                "use the ingress gateway's label, istio: ingressgateway",
            )
            continue
        for index, server in enumerate(gateway.servers):
            if server.protocol.upper() not in ("HTTP", "HTTP2", "GRPC"):
                findings.refuse(
                    gateway.meta,
                    f"spec.servers[{index}].port.protocol",
                    f"{server.protocol} is not carried out by the local mesh",
                    "use HTTP",
                )
                continue
            target = INGRESS_TARGETS.get(server.port, server.port)
            numbers.setdefault(target, server.port)
            ref = f"{gateway.meta.namespace}/{gateway.meta.name}"
            ports.setdefault(target, []).append(GatewayServer(ref, gateway.meta.namespace, server.hosts))
    listeners = tuple(GatewayListener(numbers[target], target, tuple(servers)) for target, servers in ports.items())
    return replace(INGRESS, listeners=listeners)


def _destination_rules(
    rules: list[kinds.DestinationRule], services: Mapping[str, MeshService], findings: Findings
) -> dict[str, kinds.DestinationRule]:
    """One rule a host: as on Istio a second one adds its subsets, and its traffic policy does not count."""
    result: dict[str, kinds.DestinationRule] = {}
    for rule in rules:
        host = names.istio_host(rule.host, rule.meta.namespace)
        if host not in services:
            findings.refuse(
                rule.meta, "spec.host", f"no Service or ServiceEntry {rule.host!r}", checks.host_mend(host, services)
            )
            continue
        if services[host].external is None:
            _refuse_tls(rule, findings)
        first = result.get(host)
        if first is None:
            result[host] = rule
            continue
        known = {subset.name for subset in first.subsets}
        added = tuple(subset for subset in rule.subsets if subset.name not in known)
        result[host] = kinds.DestinationRule(first.meta, first.host, first.subsets + added, first.traffic_policy)
    return result


def _refuse_tls(rule: kinds.DestinationRule, findings: Findings) -> None:
    """TLS to a service of the mesh: the processes behind it speak plain HTTP, here as on a cluster."""
    policies = [("spec.trafficPolicy", rule.traffic_policy)]
    policies += [(f"spec.subsets[{one.name}].trafficPolicy", one.traffic_policy) for one in rule.subsets]
    for field, policy in policies:
        if policy.tls_mode == "SIMPLE":
            findings.refuse(
                rule.meta,
                f"{field}.tls.mode",
                "TLS to a service of the mesh is not carried out: what is behind it speaks plain HTTP",
                "use ISTIO_MUTUAL or DISABLE; SIMPLE is for the host of a ServiceEntry",
            )
