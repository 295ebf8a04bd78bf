"""The addresses of the tracing backend on a cluster, which the trace store plays on a laptop.

They are those of Istio's Jaeger add-on (samples/addons/jaeger.yaml) and of k8s/collector, so that an extension provider
or an exporter's endpoint is written once for both. On a laptop the collector has no say: every trace is kept.
"""

from __future__ import annotations

from dataclasses import replace

from meshtrail.manifests import kinds
from meshtrail.mesh import names
from meshtrail.mesh.model import MeshPort, MeshService

NAMESPACE = "istio-system"

_PORTS: dict[str, tuple[MeshPort, ...]] = {
    "jaeger-collector": (
        MeshPort(14268, "jaeger-collector-http", "tcp", 14268),
        MeshPort(14250, "jaeger-collector-grpc", "tcp", 14250),
        MeshPort(9411, "http-zipkin", "http", 9411, store="zipkin"),
        MeshPort(4317, "grpc-otel", "http2", 4317, store="otlp_grpc"),
        MeshPort(4318, "http-otel", "http", 4318, store="otlp_http"),
    ),
    "otel-collector": (
        MeshPort(4317, "grpc-otlp", "http2", 4317, store="otlp_grpc"),
        MeshPort(4318, "http-otlp", "http", 4318, store="otlp_http"),
        MeshPort(9411, "http-zipkin", "http", 9411, store="zipkin"),
    ),
    "zipkin": (MeshPort(9411, "http-query", "http", 9411, store="zipkin"),),
    "tracing": (
        MeshPort(80, "http-query", "http", 16686),
        MeshPort(16685, "grpc-query", "http2", 16685),
    ),
}

COLLECTORS: dict[str, MeshService] = {
    names.fqdn(name, NAMESPACE): MeshService(
        fqdn=names.fqdn(name, NAMESPACE), name=name, namespace=NAMESPACE, ports=ports, collector=True
    )
    for name, ports in _PORTS.items()
}
"""By fully qualified name. A port without a store is known, and nothing on a laptop answers there."""

STORES = {4317: "otlp_grpc", 4318: "otlp_http", 9411: "zipkin"}
"""What listens on a container port of Jaeger or of the OpenTelemetry Collector."""


def as_written(collector: MeshService, service: kinds.Service) -> MeshService:
    """A collector whose Service somebody wrote: its ports, under the names that say how a sidecar speaks to them.

    The trace store plays what is behind them, whatever the Service selects. A port that leads nowhere has no store.
    """
    stores = {port.name: port.store for port in collector.ports}
    return replace(
        collector,
        ports=tuple(
            MeshPort(
                port.port,
                port.name,
                names.protocol(port.name, port.app_protocol),
                port.target_port,
                store=STORES.get(port.target_port, "")
                if isinstance(port.target_port, int)
                else stores.get(port.target_port, ""),
            )
            for port in service.ports
        ),
    )
