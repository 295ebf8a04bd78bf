"""What Istio takes a Service port for: appProtocol, then the name, then a few numbers.

As in Istio 1.29 (pkg/config/kube, ConvertProtocol): what none of them says is guessed from the first bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshtrail.lint.objects import Object, Path, text, whole
from meshtrail.manifests.document import Map

HTTP = frozenset({"http", "grpc-web"})
HTTP2 = frozenset({"http2", "grpc"})
OTHER = frozenset({"https", "tcp", "tls", "udp", "mongo", "mysql", "redis", "hbone"})
KUBERNETES = {"kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http", "kubernetes.io/wss": "https"}
BY_NUMBER = {25: "tcp", 53: "tcp", 3306: "mysql", 27017: "mongo"}

DATABASES = {
    1433: "SQL Server",
    1521: "Oracle",
    2181: "ZooKeeper",
    3306: "MySQL",
    4222: "NATS",
    5432: "PostgreSQL",
    5671: "AMQP",
    5672: "AMQP",
    6379: "Redis",
    9042: "Cassandra",
    9092: "Kafka",
    11211: "Memcached",
    26379: "Redis Sentinel",
    27017: "MongoDB",
    33060: "MySQL",
}
"""Ports of what does not speak HTTP."""

TRACING = frozenset({4317, 4318, 6831, 6832, 9411, 14250, 14268, 14269, 16685, 16686, 55678, 55680, 55681})
"""Ports of collectors and of Jaeger: deliveries of spans, which nobody wants traced."""


@dataclass(frozen=True, slots=True)
class Port:
    """`protocol` is "" when Istio has to guess; `said_by` is the field that says it."""

    path: Path
    name: str
    number: int
    target: str | int
    protocol: str
    said_by: str


def ports(service: Object) -> list[Port]:
    """The TCP ports of a Service."""
    found = []
    for path, one in service.items("spec", "ports"):
        number = whole(one.get("port"))
        if number is None or (one.get("protocol") or "TCP") != "TCP":
            continue
        target = one.get("targetPort")
        protocol, said_by = declared(one, number)
        found.append(
            Port(
                path,
                text(one.get("name")),
                number,
                target if isinstance(target, str | int) else number,
                protocol,
                said_by,
            )
        )
    return found


def declared(port: Map, number: int) -> tuple[str, str]:
    application = text(port.get("appProtocol")).lower()
    if application:
        return parse(KUBERNETES.get(application, application)), "appProtocol"
    name = text(port.get("name")).lower()
    found = parse(name)
    return (found, "name") if found else (BY_NUMBER.get(number, ""), "port")


def parse(name: str) -> str:
    """The protocol that a name declares by what stands before its first dash; "" for none."""
    if name == "grpc-web" or name.startswith("grpc-web-"):
        return "grpc-web"
    prefix = name.partition("-")[0]
    return prefix if prefix in HTTP | HTTP2 | OTHER else ""


def speaks_http(protocol: str) -> bool:
    return protocol in HTTP or protocol in HTTP2
