"""Route configurations of a proxy: virtual hosts, routes, and the names that spans get from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meshtrail.envoy import actions
from meshtrail.envoy.clusters import cluster_name, inbound_name
from meshtrail.envoy.matches import is_catch_all, route_match
from meshtrail.envoy.proxy import Config
from meshtrail.manifests import kinds
from meshtrail.mesh import GatewayListener, GatewayProxy, InboundPort, Mesh, MeshPort, MeshService, Workload, routing

MAX_DIRECT_RESPONSE = 1048576


def operation(match: Config, cluster: str, virtual_service: str, port: int) -> str:
    """The span's name, as Istio's GetRouteOperation: `host:port` of a sole destination, else the VirtualService's name
    and the listener's port, then what the path is matched by.
    """
    path = "/*"
    if "prefix" in match:
        path = f"{match['prefix']}*"
    elif "path" in match:
        path = match["path"]
    elif "safe_regex" in match:
        path = match["safe_regex"]["regex"]
    if cluster:
        _, number, _, host = cluster.split("|")
        return f"{host}:{number}{path}"
    return f"{virtual_service}:{port}{path}"


def outbound(mesh: Mesh, workload: Workload, service: MeshService, port: MeshPort, authority: str) -> Config:
    """The routes of a sidecar's listener for calls to `service:port`.

    The listener knows the service already, so there is one virtual host and it takes any name.
    """
    virtual_service = routing.for_service(mesh, service, workload.namespace)
    name = f"{service.fqdn}:{port.number}"

    def rules(authority: str | None) -> list[Config]:
        if virtual_service is None:
            return []
        return translate(
            mesh,
            virtual_service,
            gateways=(routing.MESH,),
            port=port.number,
            labels=workload.labels,
            namespace=workload.namespace,
            authority=authority,
        )

    routes = rules(authority)
    if not routes and not rules(None):
        # No VirtualService, or one that says nothing about this port or this caller.
        routes = [default_route(mesh, service, port)]
    return route_configuration(name, [virtual_host(name, ["*"], routes)])


def default_route(mesh: Mesh, service: MeshService, port: MeshPort) -> Config:
    """What Istio does without a VirtualService."""
    cluster = cluster_name(service.fqdn, port.number)
    match: Config = {"prefix": "/"}
    action: Config = {
        "cluster": cluster,
        "timeout": actions.NO_TIMEOUT,
        "retry_policy": actions.default_retry_policy(),
        **actions.grpc_timeout(actions.NO_TIMEOUT),
    }
    hashed = actions.destination_hash(mesh, service.fqdn)
    if hashed:
        action["hash_policy"] = hashed
    return {
        "name": "default",
        "match": match,
        "route": action,
        "decorator": {"operation": operation(match, cluster, "", port.number)},
    }


def gateway(mesh: Mesh, proxy: GatewayProxy, listener: GatewayListener) -> Config:
    """The routes of a gateway's port: one virtual host for each host that a VirtualService binds to it."""
    hosts: list[Config] = []
    for host, virtual_services in routing.for_gateway(mesh, listener).items():
        routes: list[Config] = []
        for virtual_service in virtual_services:
            routes += translate(
                mesh,
                virtual_service,
                gateways=tuple(server.gateway for server in listener.servers),
                port=listener.port,
                labels=proxy.labels,
                namespace=proxy.namespace,
            )
        # Several VirtualServices may share a host: what takes everything goes last.
        routes.sort(key=lambda route: is_catch_all(route["match"]))
        hosts.append(virtual_host(f"{host}:{listener.port}", [host], routes))
    if not hosts:
        # Istio answers 404 on a port whose Gateway no VirtualService is bound to.
        blackhole: Config = {"name": f"blackhole:{listener.port}", "domains": ["*"], "routes": []}
        return route_configuration(f"http.{listener.target}", [blackhole])
    return {**route_configuration(f"http.{listener.target}", hosts), "ignore_port_in_host_matching": True}


def inbound(port: InboundPort) -> Config:
    """The routes of a sidecar's inbound listener. Its name for spans gives way to what the caller's sidecar sends in
    x-envoy-decorator-operation.
    """
    cluster = inbound_name(port.port)
    route = {
        "name": "default",
        "match": {"prefix": "/"},
        "route": {
            "cluster": cluster,
            "timeout": "0s",
            "retry_policy": {"retry_on": "reset-before-request", "num_retries": 2},
            "max_stream_duration": {"max_stream_duration": "0s", "grpc_timeout_header_max": "0s"},
        },
        "decorator": {"operation": f"{port.service_fqdn}:{port.service_port}/*"},
    }
    host: Config = {"name": f"inbound|http|{port.service_port}", "domains": ["*"], "routes": [route]}
    return {"name": cluster, "virtual_hosts": [host], "validate_clusters": False}


def route_configuration(name: str, hosts: list[Config]) -> Config:
    return {
        "name": name,
        "virtual_hosts": hosts,
        "validate_clusters": False,
        "max_direct_response_body_size_bytes": MAX_DIRECT_RESPONSE,
    }


def virtual_host(name: str, domains: list[str], routes: list[Config]) -> Config:
    return {"name": name, "domains": domains, "routes": routes, "include_request_attempt_count": True}


def translate(
    mesh: Mesh,
    virtual_service: kinds.VirtualService,
    *,
    gateways: Sequence[str],
    port: int,
    labels: Mapping[str, str],
    namespace: str,
    authority: str | None = None,
) -> list[Config]:
    """The Envoy routes of a VirtualService for one proxy and port, up to the first that takes everything.

    `authority` is the host that requests will carry, where it is known: conditions on it are then decided here.
    """
    result: list[Config] = []
    for route in virtual_service.http:
        for match in route.matches or (None,):
            if match is not None:
                applicable = routing.applies(
                    match, virtual_service, gateways=gateways, port=port, labels=labels, namespace=namespace
                )
                if not applicable or (authority is not None and not _authority_holds(match, authority)):
                    continue
            entry = _route(mesh, virtual_service, route, match, port, authority_known=authority is not None)
            result.append(entry)
            if is_catch_all(entry["match"]):
                return result
    return result


def _authority_holds(match: kinds.HttpMatch, authority: str) -> bool:
    return match.authority is None or routing.string_holds(match.authority, authority)


def _route(
    mesh: Mesh,
    virtual_service: kinds.VirtualService,
    route: kinds.HttpRoute,
    match: kinds.HttpMatch | None,
    port: int,
    *,
    authority_known: bool,
) -> Config:
    meta = virtual_service.meta
    condition = route_match(match, authority=not authority_known)
    result: Config = {"match": condition}
    name = route.name + (f".{match.name}" if match is not None and match.name else "")
    if name:
        result["name"] = name
    cluster = ""
    headers = [route.headers]
    if route.redirect is not None:
        result["redirect"] = actions.redirect(route.redirect, port)
    elif route.direct_response is not None:
        result["direct_response"] = actions.direct_response(route.direct_response)
    else:
        action, own = actions.forward(mesh, meta.namespace, route, port)
        headers.append(own)
        authority = actions.authority_set(route.headers) or actions.authority_set(own)
        if authority:
            action["host_rewrite_literal"] = authority
        cluster = action.get("cluster", "")
        result["route"] = action
    ruler = virtual_service.generated_name or meta.name
    path = f"/apis/networking.istio.io/v1/namespaces/{meta.namespace}/virtual-service/{ruler}"
    result["metadata"] = {"filter_metadata": {"istio": {"config": path}}}
    result["decorator"] = {"operation": operation(condition, cluster, ruler, port)}
    result |= actions.combined_operations(*headers)
    if route.delay is not None or route.abort is not None:
        result["typed_per_filter_config"] = {actions.FAULT_FILTER: actions.fault(route)}
    return result
