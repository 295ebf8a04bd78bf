"""All rules, in the order in which what they look at is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from meshtrail.cluster.kubectl import ClusterError
from meshtrail.cluster.preflight import control_plane, gateways, injection, services, tracing
from meshtrail.cluster.preflight.findings import Finding, fail, ok, warn
from meshtrail.cluster.session import Session
from meshtrail.cluster.snapshot import Snapshot

Stage = Literal["before-deploy", "deployed"]
Rule = Callable[[Snapshot], list[Finding]]

ALWAYS: tuple[Rule, ...] = (control_plane.kubernetes, control_plane.istio, control_plane.istio_kinds)
BEFORE_DEPLOY: tuple[Rule, ...] = (injection.namespace_to_be, gateways.ingress)
DEPLOYED: tuple[Rule, ...] = (
    injection.namespace,
    injection.application,
    injection.sidecars,
    injection.sidecar_versions,
    services.port_names,
    services.endpoints,
    services.propagation,
    gateways.gateway,
    gateways.destinations,
)
TRACING: tuple[Rule, ...] = (tracing.provider, tracing.sampling, tracing.collector)


def preflight(session: Session, stage: Stage = "deployed") -> list[Finding]:
    """Walk the rules; what follows from a missing Istio is not said again. Opens a port-forward to ask Jaeger."""
    snapshot = session.snapshot
    findings = check(snapshot, stage)
    findings.append(_jaeger(session))
    return findings


def check(snapshot: Snapshot, stage: Stage = "deployed") -> list[Finding]:
    """The rules that need nothing but the snapshot."""
    findings = [finding for rule in ALWAYS for finding in rule(snapshot)]
    if any(one.check == "istio" and one.level == "fail" for one in findings):
        return findings
    findings += [one for rule in (DEPLOYED if stage == "deployed" else BEFORE_DEPLOY) for one in rule(snapshot)]
    told = [one for rule in TRACING for one in rule(snapshot)]
    if stage == "before-deploy":
        # The overlays for staging and production bring the mesh-wide Telemetry along.
        told = [warn(one.check, one.seen, one.mend) if one.level == "fail" else one for one in told]
    return findings + told


def _jaeger(session: Session) -> Finding:
    try:
        reached = session.jaeger()
    except ClusterError as error:
        return fail("jaeger", error.message, error.mend or "kubectl -n istio-system get pods")
    return ok("jaeger", f"{reached.service} answers ({reached.via})")
