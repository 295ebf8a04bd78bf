"""The mesh: workloads, services and gateways as the manifests describe them, with every name resolved.

Built by `meshtrail.mesh.build`; read by the Envoy generator, which adds only addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from meshtrail.manifests import kinds

Protocol = Literal["http", "http2", "tcp"]
Direction = Literal["inbound", "outbound"]
WorkloadKey = tuple[str, str]
"""(namespace, Deployment name)"""


@dataclass(frozen=True, slots=True)
class InboundPort:
    """A container port that a Service sends requests to; `service_port` is that Service's number."""

    port: int
    protocol: Protocol
    service_fqdn: str
    service_port: int


@dataclass(frozen=True, slots=True)
class Reference:
    """An environment variable that names a service: its value is `prefix + authority + suffix`.

    `authority` is as written (`backend:8080`), `port` the number meant (the scheme's own when none is written). With
    `port_variable` two variables name it together: `variable` holds the host alone, and this one the port.
    """

    variable: str
    prefix: str
    authority: str
    suffix: str
    fqdn: str
    port: int
    port_variable: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """One Deployment. `labels` and `annotations` are the pod template's.

    `app` and `revision` are Istio's canonical service and revision, `service_name` what its sidecar's spans carry.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    app: str
    revision: str
    service_name: str
    injected: bool
    replicas: int
    deployment: kinds.Deployment
    ports: tuple[int, ...] = ()
    inbound: tuple[InboundPort, ...] = ()
    references: tuple[Reference, ...] = ()
    excluded_inbound: frozenset[int] = frozenset()
    excluded_outbound: frozenset[int] = frozenset()

    @property
    def key(self) -> WorkloadKey:
        return (self.namespace, self.name)

    def through_sidecar(self, reference: Reference) -> bool:
        """Whether a call to `reference` leaves through the sidecar."""
        return self.injected and reference.port not in self.excluded_outbound

    def received_by_sidecar(self, container_port: int) -> bool:
        """Whether a call to `container_port` arrives through the sidecar."""
        return (
            self.injected
            and container_port not in self.excluded_inbound
            and any(port.port == container_port for port in self.inbound)
        )


@dataclass(frozen=True, slots=True)
class MeshPort:
    """A port of a service; `store` names the port of the trace store that plays it ("" : none does)."""

    number: int
    name: str
    protocol: Protocol
    target: int | str
    store: str = ""


@dataclass(frozen=True, slots=True)
class MeshService:
    """A name that a sidecar can send to.

    `workloads` are the Deployments behind it. `external` is the ServiceEntry it comes from; `collector` marks the
    addresses of the tracing backend, which the trace store plays.
    """

    fqdn: str
    name: str
    namespace: str
    ports: tuple[MeshPort, ...]
    workloads: tuple[WorkloadKey, ...] = ()
    external: kinds.ServiceEntry | None = None
    collector: bool = False

    def port(self, number: int) -> MeshPort | None:
        return next((port for port in self.ports if port.number == number), None)


@dataclass(frozen=True, slots=True)
class GatewayServer:
    """One server of one Gateway: `gateway` is `namespace/name`."""

    gateway: str
    namespace: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GatewayListener:
    """A port that the gateway opens: `port` as clients and Gateways name it, `target` as the proxy binds it."""

    port: int
    target: int
    servers: tuple[GatewayServer, ...]


@dataclass(frozen=True, slots=True)
class GatewayProxy:
    """An ingress gateway's proxy with the servers of every Gateway that selects it."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    app: str
    revision: str
    service_name: str
    listeners: tuple[GatewayListener, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedTracing:
    """What tracing comes to for one direction of one proxy, after Istio's merge. `sampling` is 0 to 100."""

    provider: kinds.TracingProvider
    sampling: float
    propagate: bool = True
    use_request_id: bool = True
    istio_tags: bool = True
    custom_tags: tuple[kinds.CustomTag, ...] = ()


@dataclass(frozen=True, slots=True)
class Mesh:
    """Everything that the manifests say, resolved. `services` is by fully qualified name."""

    workloads: Mapping[WorkloadKey, Workload]
    services: Mapping[str, MeshService]
    gateways: tuple[GatewayProxy, ...]
    virtual_services: tuple[kinds.VirtualService, ...]
    destination_rules: Mapping[str, kinds.DestinationRule]
    telemetries: tuple[kinds.Telemetry, ...]
    envoy_filters: tuple[kinds.EnvoyFilter, ...]
    authorization_policies: tuple[kinds.AuthorizationPolicy, ...]
    config: kinds.MeshConfig
    config_maps: Mapping[tuple[str, str, str], kinds.ConfigMap] = field(default_factory=dict)

    def endpoints(self, service: MeshService, port: MeshPort) -> Iterator[tuple[Workload, int]]:
        """Each workload behind `service`, with the container port that `port` leads to."""
        for key in service.workloads:
            workload = self.workloads[key]
            number = container_port(workload.deployment, port.target)
            if number is not None:
                yield workload, number

    def tracing_for(self, proxy: Workload | GatewayProxy, direction: Direction) -> ResolvedTracing | None:
        """What Telemetry says for `proxy`; None: no spans. A gateway is asked for its outbound side, as on Istio."""
        from meshtrail.mesh.tracing import resolve

        resolved = resolve(self.config, self.telemetries, proxy.namespace, proxy.labels, direction)
        return resolved if resolved and self.collector_port(resolved.provider) else None

    def policies_for(self, proxy: Workload | GatewayProxy) -> tuple[kinds.AuthorizationPolicy, ...]:
        """The AuthorizationPolicies that bind `proxy`."""
        from meshtrail.mesh.authorization import binding

        return binding(self.authorization_policies, self.config.root_namespace, proxy.namespace, proxy.labels)

    def collector_port(self, provider: kinds.TracingProvider) -> MeshPort | None:
        """The port that takes the provider's spans; None when the trace store plays no such address."""
        service = self.services.get(provider.service)
        port = service.port(provider.port) if service else None
        wanted = "zipkin" if provider.type == "zipkin" else "otlp_http" if provider.http_path else "otlp_grpc"
        return port if port and port.store == wanted else None

    def pods_of(self, workload: Workload) -> tuple[str, ...]:
        """The names of its pods: the Deployment's own, with an index when there are several."""
        same = sum(1 for other in self.workloads.values() if other.name == workload.name)
        base = workload.name if same == 1 else f"{workload.name}.{workload.namespace}"
        return (base,) if workload.replicas == 1 else tuple(f"{base}-{index}" for index in range(workload.replicas))


def container_port(deployment: kinds.Deployment, target: int | str) -> int | None:
    """The number that a Service's targetPort means in `deployment`; None when no container port has that name."""
    if isinstance(target, int):
        return target
    for container in deployment.containers:
        for port in container.ports:
            if port.name == target:
                return port.port
    return None
