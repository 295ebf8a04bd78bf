"""The configuration of every proxy of a mesh."""

from __future__ import annotations

from pathlib import Path

from meshtrail.envoy import clusters, listeners, patches, routes
from meshtrail.envoy.bootstrap import bootstrap
from meshtrail.envoy.places import Addresses, Endpoint, Pod
from meshtrail.envoy.proxy import Config, ProxyConfig
from meshtrail.mesh import GatewayProxy, Mesh, Workload, names


def generate(
    mesh: Mesh, addresses: Addresses, *, run_dir: Path, admin: Endpoint | None = None
) -> dict[str, ProxyConfig]:
    """A ProxyConfig for each gateway and each injected pod, by proxy name; its files belong in `run_dir/<name>`.

    `admin` is where each listens for administration, None: a socket in its folder.
    """
    shared = clusters.outbound_clusters(mesh, addresses)
    result: dict[str, ProxyConfig] = {}
    for gateway in mesh.gateways:
        result[gateway.name] = _gateway(mesh, gateway, addresses, shared, run_dir, admin)
    for pod in addresses.pods:
        workload = mesh.workloads[pod.workload_key]
        if workload.injected:
            result[pod.name] = _sidecar(mesh, workload, pod, addresses, shared, run_dir, admin)
    return result


def _gateway(
    mesh: Mesh,
    gateway: GatewayProxy,
    addresses: Addresses,
    shared: list[Config],
    run_dir: Path,
    admin: Endpoint | None,
) -> ProxyConfig:
    folder = run_dir / gateway.name
    built: list[Config] = []
    tables: dict[str, Config] = {}
    for listener in gateway.listeners:
        table = patches.patch_routes(
            routes.gateway(mesh, gateway, listener),
            mesh,
            context="GATEWAY",
            namespace=gateway.namespace,
            labels=gateway.labels,
            port=listener.target,
        )
        tables[table["name"]] = table
        endpoint = addresses.gateways[(gateway.name, listener.target)]
        built.append(listeners.gateway(mesh, gateway, listener, endpoint, routes=table["name"], folder=folder))
    node_id = f"router~127.0.0.1~{gateway.name}.{gateway.namespace}~{gateway.namespace}.{names.DOMAIN}"
    return ProxyConfig(
        name=gateway.name,
        kind="gateway",
        service_cluster=gateway.service_name,
        node_id=node_id,
        bootstrap=bootstrap(gateway.name, node_id, gateway.service_name, run_dir, admin),
        listeners=built,
        routes=tables,
        clusters=shared,
    )


def _sidecar(
    mesh: Mesh,
    workload: Workload,
    pod: Pod,
    addresses: Addresses,
    shared: list[Config],
    run_dir: Path,
    admin: Endpoint | None,
) -> ProxyConfig:
    folder = run_dir / pod.name
    built: list[Config] = []
    tables: dict[str, Config] = {}
    own: list[Config] = []
    seen: set[str] = set()
    for inbound in workload.inbound:
        if not workload.received_by_sidecar(inbound.port):
            continue
        own.append(clusters.inbound_cluster(mesh, inbound, addresses.app[(pod.name, inbound.port)]))
        table = patches.patch_routes(
            routes.inbound(inbound),
            mesh,
            context="SIDECAR_INBOUND",
            namespace=workload.namespace,
            labels=workload.labels,
            port=inbound.port,
        )
        built.append(listeners.inbound(mesh, workload, inbound, addresses.inbound[(pod.name, inbound.port)], table))
    for reference in workload.references:
        service = mesh.services[reference.fqdn]
        port = service.port(reference.port)
        name = f"{reference.fqdn}:{reference.port}"
        if port is None or not workload.through_sidecar(reference) or name in seen:
            continue
        seen.add(name)
        if port.protocol != "tcp":
            table = patches.patch_routes(
                routes.outbound(mesh, workload, service, port, reference.authority),
                mesh,
                context="SIDECAR_OUTBOUND",
                namespace=workload.namespace,
                labels=workload.labels,
                port=port.number,
            )
            tables[name] = table
        endpoint = addresses.outbound[(pod.name, reference.fqdn, reference.port)]
        built.append(
            listeners.outbound(
                mesh, workload, service, port, endpoint, authority=reference.authority, routes=name, folder=folder
            )
        )
    node_id = f"sidecar~127.0.0.1~{pod.name}.{workload.namespace}~{workload.namespace}.{names.DOMAIN}"
    return ProxyConfig(
        name=pod.name,
        kind="sidecar",
        service_cluster=workload.service_name,
        node_id=node_id,
        bootstrap=bootstrap(pod.name, node_id, workload.service_name, run_dir, admin),
        listeners=built,
        routes=tables,
        clusters=[*own, *shared],
    )
