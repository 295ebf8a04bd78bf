"""The addresses of one running mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshtrail.mesh import Mesh, MeshPort, MeshService, WorkloadKey


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where something is reached; `bind` is the address that it listens on, where that is another one."""

    host: str
    port: int
    bind: str = ""

    @property
    def listen_host(self) -> str:
        return self.bind or self.host

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Pod:
    """`name` is also the name of its sidecar; `workload_key` is (namespace, Deployment name)."""

    name: str
    workload_key: WorkloadKey


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each listens. `app`: (pod, container port), the process itself. `inbound`: (pod, container port), its
    sidecar. `outbound`: (pod, service, service port), the sidecar's listener for calls to that service.
    `gateways`: (gateway, port that its proxy binds on a cluster). `store`: otlp_grpc, otlp_http, zipkin.
    """

    pods: tuple[Pod, ...]
    app: Mapping[tuple[str, int], Endpoint]
    inbound: Mapping[tuple[str, int], Endpoint]
    outbound: Mapping[tuple[str, str, int], Endpoint]
    gateways: Mapping[tuple[str, int], Endpoint]
    store: Mapping[str, Endpoint]


def targets(
    mesh: Mesh, addresses: Addresses, service: MeshService, port: MeshPort, labels: Mapping[str, str] | None = None
) -> list[Endpoint]:
    """Where a request for `service:port` goes: the sidecars behind it, the processes of pods that have none, or the
    trace store. `labels` narrows it to a subset's pods. A ServiceEntry's endpoints are not here.
    """
    if port.store:
        return [addresses.store[port.store]]
    result: list[Endpoint] = []
    for workload, number in mesh.endpoints(service, port):
        if labels and any(workload.labels.get(name) != value for name, value in labels.items()):
            continue
        known = addresses.inbound if workload.received_by_sidecar(number) else addresses.app
        result += [known[(pod, number)] for pod in mesh.pods_of(workload)]
    return result
