"""Where everything of a mesh listens on this machine, and what of it the runtime has to allocate.

The generator never chooses a port: the runtime asks `required` what there is, allocates, and hands over `Addresses`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshtrail.envoy.environment import environment as environment
from meshtrail.envoy.places import Addresses, Endpoint, Pod
from meshtrail.mesh import Mesh


@dataclass(frozen=True, slots=True)
class Required:
    """The pods, and the keys of the five maps of `Addresses`."""

    pods: tuple[Pod, ...]
    app: tuple[tuple[str, int], ...]
    inbound: tuple[tuple[str, int], ...]
    outbound: tuple[tuple[str, str, int], ...]
    gateways: tuple[tuple[str, int], ...]
    store: tuple[str, ...] = ("otlp_grpc", "otlp_http", "zipkin")

    def __sub__(self, allocated: Addresses) -> Required:
        """What is not allocated yet: a reload keeps every address that it can."""
        return Required(
            pods=tuple(pod for pod in self.pods if pod not in allocated.pods),
            app=tuple(key for key in self.app if key not in allocated.app),
            inbound=tuple(key for key in self.inbound if key not in allocated.inbound),
            outbound=tuple(key for key in self.outbound if key not in allocated.outbound),
            gateways=tuple(key for key in self.gateways if key not in allocated.gateways),
            store=tuple(key for key in self.store if key not in allocated.store),
        )


def required(mesh: Mesh) -> Required:
    """What the runtime must allocate for `mesh`, in a stable order."""
    pods: list[Pod] = []
    app: list[tuple[str, int]] = []
    inbound: list[tuple[str, int]] = []
    outbound: dict[tuple[str, str, int], None] = {}
    for workload in mesh.workloads.values():
        for name in mesh.pods_of(workload):
            pods.append(Pod(name, workload.key))
            app += [(name, port) for port in workload.ports]
            inbound += [(name, port.port) for port in workload.inbound if workload.received_by_sidecar(port.port)]
            for reference in workload.references:
                if workload.through_sidecar(reference):
                    outbound[(name, reference.fqdn, reference.port)] = None
    return Required(
        pods=tuple(pods),
        app=tuple(app),
        inbound=tuple(inbound),
        outbound=tuple(outbound),
        gateways=tuple((gateway.name, listener.target) for gateway in mesh.gateways for listener in gateway.listeners),
    )


__all__ = ["Addresses", "Endpoint", "Mapping", "Pod", "Required", "environment", "required"]
