"""Names as Kubernetes and Istio form them: hosts, canonical services, protocols of ports."""

from __future__ import annotations

from collections.abc import Mapping

from meshtrail.mesh.model import Protocol

DOMAIN = "svc.cluster.local"
"""Kubernetes' default cluster domain."""

HTTP_NAMES = frozenset({"http", "grpc-web"})
HTTP2_NAMES = frozenset({"http2", "grpc"})
HTTP2_APP_PROTOCOLS = frozenset({"kubernetes.io/h2c", "http2", "grpc"})
HTTP_APP_PROTOCOLS = frozenset({"http", "kubernetes.io/ws", "grpc-web"})

DEFAULT_PORTS: Mapping[str, int] = {
    "http": 80,
    "https": 443,
    "ws": 80,
    "grpc": 80,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "redis": 6379,
    "mongodb": 27017,
}


def fqdn(name: str, namespace: str) -> str:
    return f"{name}.{namespace}.{DOMAIN}"


def istio_host(host: str, namespace: str) -> str:
    """The name that `host` means in an Istio resource of `namespace`: only a name without a dot is completed."""
    return host if "." in host or host == "*" else fqdn(host, namespace)


def dns_candidates(host: str, namespace: str) -> tuple[str, ...]:
    """The full names that a pod of `namespace` tries for `host`, in the order of its resolv.conf search list."""
    if host.endswith("."):
        return (host[:-1].lower(),)
    host = host.lower()
    return (f"{host}.{namespace}.{DOMAIN}", f"{host}.{DOMAIN}", f"{host}.cluster.local", host)


def protocol(port_name: str, app_protocol: str = "") -> Protocol:
    """What a sidecar takes a Service port for: appProtocol first, then the part of its name before the first dash."""
    if app_protocol:
        text = app_protocol.lower()
        if text in HTTP2_APP_PROTOCOLS:
            return "http2"
        return "http" if text in HTTP_APP_PROTOCOLS else "tcp"
    name = port_name.lower()
    if name == "grpc-web" or name.startswith("grpc-web-"):
        return "http"
    prefix = name.split("-", 1)[0]
    if prefix in HTTP2_NAMES:
        return "http2"
    return "http" if prefix in HTTP_NAMES else "tcp"


def canonical_service(labels: Mapping[str, str], workload: str) -> str:
    """Istio's canonical service: its own label, then app.kubernetes.io/name, then app, then the workload's name."""
    for label in ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app"):
        if labels.get(label):
            return labels[label]
    return workload


def canonical_revision(labels: Mapping[str, str]) -> str:
    for label in ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"):
        if labels.get(label):
            return labels[label]
    return "latest"


def tracing_service(labels: Mapping[str, str], namespace: str, workload: str) -> str:
    """`service.name` of a proxy's spans: `tracingServiceName: APP_LABEL_AND_NAMESPACE`, Istio's default.

    Without label app it is the workload's name, whatever the canonical name is (seen on Istio 1.29).
    """
    return f"{labels.get('app') or workload}.{namespace}"
