"""The addresses of the mesh that docker compose runs.

Every pod is a network of its own, with the service's name, as on a cluster. So the ports are those of the manifests;
only what stands behind or beside the sidecar on the pod's loopback gets another number, the same on every run.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshtrail.envoy.addresses import Addresses, Endpoint, required
from meshtrail.envoy.environment import CONTROL_PORT, LOOPBACK
from meshtrail.mesh import Mesh

ANY = "0.0.0.0"
ADMIN = Endpoint(LOOPBACK, 15000)
"""Envoy's administration, at the port that Istio's sidecars have."""
GATEWAY = "gateway"
JAEGER = "jaeger"
STORE_PORTS = {"otlp_grpc": 4317, "otlp_http": 4318, "zipkin": 9411}

APP_OFFSET = 10_000
OUTBOUND_OFFSET = 20_000


def addresses(mesh: Mesh) -> Addresses:
    """Where everything listens: a pod is reached by its name, and only its sidecar listens on all addresses.

    The process of container port 8080 has 127.0.0.1:18080, the sidecar's listener for calls to a service's port 8080
    has 127.0.0.1:28080 (the next free one when several services have that number). The control port of the propagation
    switch has no sidecar before it.
    """
    needed = required(mesh)
    behind_sidecar = set(needed.inbound)
    return Addresses(
        pods=needed.pods,
        app={
            (pod, port): Endpoint(LOOPBACK, port + APP_OFFSET)
            if (pod, port) in behind_sidecar
            else Endpoint(pod, port, bind=ANY)
            for pod, port in needed.app
        },
        inbound={(pod, port): Endpoint(pod, port, bind=ANY) for pod, port in needed.inbound},
        outbound=_outbound(needed.outbound),
        gateways={(name, port): Endpoint(GATEWAY, port, bind=ANY) for name, port in needed.gateways},
        store={name: Endpoint(JAEGER, port) for name, port in STORE_PORTS.items()},
    )


def _outbound(keys: Iterable[tuple[str, str, int]]) -> dict[tuple[str, str, int], Endpoint]:
    taken: set[tuple[str, int]] = set()
    result: dict[tuple[str, str, int], Endpoint] = {}
    for pod, fqdn, port in keys:
        number = port + OUTBOUND_OFFSET
        while (pod, number) in taken:
            number += 1
        taken.add((pod, number))
        result[(pod, fqdn, port)] = Endpoint(LOOPBACK, number)
    return result


__all__ = ["ADMIN", "CONTROL_PORT", "GATEWAY", "JAEGER", "addresses"]
