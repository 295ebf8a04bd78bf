"""Clusters: where a proxy sends to. Names and settings are istiod's, the endpoints are loopback ports."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Any

from meshtrail.envoy import tls
from meshtrail.envoy.places import Addresses, Endpoint, targets
from meshtrail.envoy.proxy import TYPE, Config
from meshtrail.manifests import kinds
from meshtrail.mesh import InboundPort, Mesh, MeshPort, MeshService

UNLIMITED = 4294967295
LB_POLICIES = {
    "": "LEAST_REQUEST",
    "UNSPECIFIED": "LEAST_REQUEST",
    "LEAST_REQUEST": "LEAST_REQUEST",
    "LEAST_CONN": "LEAST_REQUEST",
    "ROUND_ROBIN": "ROUND_ROBIN",
    "RANDOM": "RANDOM",
    # A pass-through sends to the address the client chose; on a laptop there is one address to choose from.
    "PASSTHROUGH": "ROUND_ROBIN",
}


def cluster_name(fqdn: str, port: int, subset: str = "") -> str:
    """Istio's subset key: `outbound|8080|v1|backend.default.svc.cluster.local`."""
    return f"outbound|{port}|{subset}|{fqdn}"


def inbound_name(port: int) -> str:
    return f"inbound|{port}||"


def outbound_clusters(mesh: Mesh, addresses: Addresses) -> list[Config]:
    """A cluster for every port and subset of every service that a proxy of this mesh can be told to send to."""
    result: list[Config] = []
    for service in mesh.services.values():
        rule = mesh.destination_rules.get(service.fqdn)
        for port in service.ports:
            if service.collector and not port.store:
                continue
            policy = rule.traffic_policy if rule else kinds.TrafficPolicy()
            result.append(_outbound(mesh, addresses, service, port, "", {}, policy))
            for subset in rule.subsets if rule else ():
                merged = merge_policies(policy, subset.traffic_policy)
                result.append(_outbound(mesh, addresses, service, port, subset.name, subset.labels, merged))
    return result


def inbound_cluster(mesh: Mesh, port: InboundPort, app: Endpoint) -> Config:
    """The process behind a sidecar.

    Of its service's DestinationRule only the limits of the connection pool hold on this side too, as istiod does it:
    they guard the process from callers that have no sidecar.
    """
    name = inbound_name(port.port)
    rule = mesh.destination_rules.get(port.service_fqdn)
    pool = rule.traffic_policy.connection_pool if rule else {}
    return {
        "name": name,
        "alt_stat_name": f"{name};",
        "type": "STATIC",
        "connect_timeout": seconds(pool.get("connectTimeout", 10)),
        "circuit_breakers": circuit_breakers(pool),
        **_protocol_options(port.protocol == "http2", pool),
        "load_assignment": load_assignment(name, [app]),
    }


def _outbound(
    mesh: Mesh,
    addresses: Addresses,
    service: MeshService,
    port: MeshPort,
    subset: str,
    labels: Mapping[str, str],
    policy: kinds.TrafficPolicy,
) -> Config:
    name = cluster_name(service.fqdn, port.number, subset)
    pool = policy.connection_pool
    cluster: Config = {
        "name": name,
        "alt_stat_name": f"{name};",
        **_endpoints(mesh, addresses, service, port, name, labels),
        "connect_timeout": seconds(pool.get("connectTimeout", 10)),
        "lb_policy": LB_POLICIES.get(policy.lb, "LEAST_REQUEST"),
        "circuit_breakers": circuit_breakers(pool),
        "common_lb_config": {},
        **_protocol_options(port.protocol == "http2", pool),
        **_outlier_detection(policy.outlier_detection),
        **_generation(mesh, service),
    }
    if policy.tls_mode == "SIMPLE":
        cluster["transport_socket"] = tls.originating(policy.tls_sni or service.fqdn, verify=policy.tls_verify)
    if policy.lb_consistent_hash:
        cluster |= _consistent_hash(policy.lb_consistent_hash)
    if policy.outlier_detection:
        cluster["common_lb_config"] = {
            "healthy_panic_threshold": {"value": float(policy.outlier_detection.get("minHealthPercent", 0))}
        }
    return cluster


def _generation(mesh: Mesh, service: MeshService) -> Config:
    """A mark that changes with the listeners of the receiving sidecars: tracing, policies, HTTP becoming TCP.

    A listener that changes goes on serving its open connections as before until they end. With the cluster changed
    too, the callers' idle connections are closed at once, and the next request meets the new settings.
    """
    receivers = [mesh.workloads[key] for key in service.workloads]
    settings = [
        repr(
            (
                mesh.tracing_for(receiver, "inbound"),
                [(port.port, port.protocol) for port in receiver.inbound],
                *([policies] if (policies := mesh.policies_for(receiver)) else ()),
            )
        )
        for receiver in receivers
    ]
    if not settings:
        return {}
    mark = hashlib.blake2b("\n".join(settings).encode(), digest_size=6).hexdigest()
    return {"metadata": {"filter_metadata": {"meshtrail": {"receivers": mark}}}}


def _endpoints(
    mesh: Mesh,
    addresses: Addresses,
    service: MeshService,
    port: MeshPort,
    name: str,
    labels: Mapping[str, str],
) -> Config:
    entry = service.external
    if entry is None:
        endpoints = targets(mesh, addresses, service, port, labels)
        by_name = not all(is_address(endpoint.host) for endpoint in endpoints)
    else:
        number = port.target if isinstance(port.target, int) else port.number
        endpoints = [Endpoint(host, number) for host in entry.endpoints or (service.fqdn,)]
        by_name = entry.resolution != "STATIC"
    return {
        **({"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY"} if by_name else {"type": "STATIC"}),
        "load_assignment": load_assignment(name, endpoints),
    }


def is_address(host: str) -> bool:
    """Whether `host` is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def load_assignment(name: str, endpoints: list[Endpoint]) -> Config:
    return {
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(e)}} for e in endpoints]}],
    }


def socket_address(endpoint: Endpoint) -> Config:
    return {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}


def seconds(value: float) -> str:
    """A duration as protobuf's JSON writes it."""
    return f"{float(value):.9f}".rstrip("0").rstrip(".") + "s"


def circuit_breakers(pool: Mapping[str, Any]) -> Config:
    """Istio's thresholds: no limit but those of the connection pool."""
    return {
        "thresholds": [
            {
                "max_connections": pool.get("maxConnections") or UNLIMITED,
                "max_pending_requests": pool.get("http1MaxPendingRequests") or UNLIMITED,
                "max_requests": pool.get("http2MaxRequests") or UNLIMITED,
                "max_retries": pool.get("maxRetries") or UNLIMITED,
            }
        ]
    }


def _protocol_options(http2: bool, pool: Mapping[str, Any]) -> Config:
    common: Config = {}
    if pool.get("maxRequestsPerConnection"):
        common["max_requests_per_connection"] = pool["maxRequestsPerConnection"]
    if pool.get("idleTimeout"):
        common["idle_timeout"] = seconds(pool["idleTimeout"])
    if not http2 and not common:
        return {}
    options: Config = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    typed: Config = {"@type": f"{TYPE}/{name}", "explicit_http_config": options}
    if common:
        typed["common_http_protocol_options"] = common
    return {"typed_extension_protocol_options": {name: typed}}


def _outlier_detection(settings: Mapping[str, Any]) -> Config:
    """As istiod writes it: ejection by success rate off, a consecutive limit enforced when it is above 0."""
    if not settings:
        return {}
    result: Config = {"enforcing_success_rate": 0}
    for istio, envoy in (
        ("consecutive5xxErrors", "consecutive_5xx"),
        ("consecutiveGatewayErrors", "consecutive_gateway_failure"),
    ):
        if istio in settings:
            result[envoy] = settings[istio]
            result[f"enforcing_{envoy}"] = 100 if settings[istio] else 0
    for istio, envoy in (("interval", "interval"), ("baseEjectionTime", "base_ejection_time")):
        if istio in settings:
            result[envoy] = seconds(settings[istio])
    if settings.get("maxEjectionPercent"):
        result["max_ejection_percent"] = settings["maxEjectionPercent"]
    if settings.get("splitExternalLocalOriginErrors"):
        result["split_external_local_origin_errors"] = True
        if settings.get("consecutiveLocalOriginFailures"):
            result["consecutive_local_origin_failure"] = settings["consecutiveLocalOriginFailures"]
            result["enforcing_consecutive_local_origin_failure"] = 100
    return {"outlier_detection": result}


def _consistent_hash(settings: Mapping[str, Any]) -> Config:
    if "maglev" in settings:
        size = settings["maglev"].get("tableSize")
        return {"lb_policy": "MAGLEV", **({"maglev_lb_config": {"table_size": size}} if size else {})}
    ring = settings.get("ringHash") or {}
    size = ring.get("minimumRingSize") or settings.get("minimumRingSize") or 1024
    return {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": size}}


def merge_policies(service: kinds.TrafficPolicy, subset: kinds.TrafficPolicy) -> kinds.TrafficPolicy:
    """A subset's policy over its service's, field by field, as Istio merges them."""
    own_lb = bool(subset.lb or subset.lb_consistent_hash)
    with_tls = subset if subset.tls_mode else service
    return kinds.TrafficPolicy(
        lb=subset.lb if own_lb else service.lb,
        lb_consistent_hash=subset.lb_consistent_hash if own_lb else service.lb_consistent_hash,
        connection_pool=subset.connection_pool or service.connection_pool,
        outlier_detection=subset.outlier_detection or service.outlier_detection,
        tls_mode=with_tls.tls_mode,
        tls_sni=with_tls.tls_sni,
        tls_verify=with_tls.tls_verify,
    )
