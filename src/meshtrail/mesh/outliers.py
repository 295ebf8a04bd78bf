"""Outlier detection that can never leave a pod out: a part of few pods that is less than one."""

from __future__ import annotations

import math
from collections.abc import Mapping

from meshtrail.manifests import kinds
from meshtrail.mesh.findings import Findings
from meshtrail.mesh.model import Mesh, MeshService
from meshtrail.mesh.tracing import selects

DEFAULT_PERCENT = 10
"""Envoy's max_ejection_percent; it counts the pod that is about to be left out (envoy pull request 27909)."""


def check(mesh: Mesh, findings: Findings) -> None:
    """Warn of each DestinationRule, or subset, whose maxEjectionPercent of its pods is less than one pod."""
    for fqdn, rule in mesh.destination_rules.items():
        service = mesh.services[fqdn]
        whole = rule.traffic_policy.outlier_detection
        if _never_ejects(whole, _pods(mesh, service, {})):
            _warn(rule, "spec.trafficPolicy", rule.host, whole, _pods(mesh, service, {}), findings)
            continue
        for index, subset in enumerate(rule.subsets):
            own = subset.traffic_policy.outlier_detection
            pods = _pods(mesh, service, subset.labels)
            if _never_ejects(own or whole, pods):
                field = f"spec.subsets[{index}].trafficPolicy" if own else "spec.trafficPolicy"
                _warn(rule, field, f"subset {subset.name} of {rule.host}", own or whole, pods, findings)


def _pods(mesh: Mesh, service: MeshService, labels: Mapping[str, str]) -> int:
    workloads = [mesh.workloads[key] for key in service.workloads]
    return sum(workload.replicas for workload in workloads if selects(labels, workload.labels))


def _percent(settings: Mapping[str, object]) -> int:
    # istiod takes 0 for not given.
    return int(str(settings.get("maxEjectionPercent") or DEFAULT_PERCENT))


def _never_ejects(settings: Mapping[str, object], pods: int) -> bool:
    return bool(settings) and 0 < pods * _percent(settings) < 100


def _warn(
    rule: kinds.DestinationRule, field: str, what: str, settings: Mapping[str, object], pods: int, findings: Findings
) -> None:
    shown = "1 pod" if pods == 1 else f"{pods} pods"
    findings.warn(
        rule.meta,
        f"{field}.outlierDetection.maxEjectionPercent",
        f"{_percent(settings)} % of the {shown} of {what} is less than one: none is ever left out",
        f"set maxEjectionPercent to {math.ceil(100 / pods)} or more",
    )
