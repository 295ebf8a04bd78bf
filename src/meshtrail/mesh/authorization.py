"""Which AuthorizationPolicies bind a proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meshtrail.manifests import kinds
from meshtrail.mesh.findings import Findings
from meshtrail.mesh.model import Mesh
from meshtrail.mesh.tracing import selects


def binding(
    policies: Sequence[kinds.AuthorizationPolicy], root: str, namespace: str, labels: Mapping[str, str]
) -> tuple[kinds.AuthorizationPolicy, ...]:
    """Those of the root namespace and of the proxy's own that select it. They add up; none overrides another."""
    own = [policy for policy in policies if policy.carried_out and policy.meta.namespace in (root, namespace)]
    return tuple(policy for policy in own if selects(policy.selector, labels))


def check(mesh: Mesh, findings: Findings) -> None:
    """Of a TCP port a policy sees no request: what Istio then does of it, the local mesh does not."""
    bound = set()
    for workload in mesh.workloads.values():
        ports = [port.port for port in workload.inbound if port.protocol == "tcp" and workload.injected]
        for policy in mesh.policies_for(workload):
            bound.add(policy.meta.ref)
            if ports:
                findings.refuse(
                    policy.meta,
                    "spec.selector",
                    f"{workload.deployment.meta.ref} has the TCP port {ports[0]}: no policy is carried out there",
                    "select other workloads, or declare the port as HTTP",
                )
    bound |= {policy.meta.ref for gateway in mesh.gateways for policy in mesh.policies_for(gateway)}
    for policy in mesh.authorization_policies:
        if policy.carried_out and policy.selector and policy.meta.ref not in bound:
            findings.warn(policy.meta, "spec.selector", "selects no workload", "check the labels")
