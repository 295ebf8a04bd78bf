"""The mesh as the manifests describe it: workloads, services, gateways, routes and tracing, resolved and checked."""

from meshtrail.mesh.build import build
from meshtrail.mesh.model import (
    Direction,
    GatewayListener,
    GatewayProxy,
    InboundPort,
    Mesh,
    MeshPort,
    MeshService,
    Reference,
    ResolvedTracing,
    Workload,
    WorkloadKey,
)

__all__ = [
    "Direction",
    "GatewayListener",
    "GatewayProxy",
    "InboundPort",
    "Mesh",
    "MeshPort",
    "MeshService",
    "Reference",
    "ResolvedTracing",
    "Workload",
    "WorkloadKey",
    "build",
]
