"""Warnings of outlier detection without effect; tests/e2e/test_policies.py shows that Envoy has none indeed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.parity.cluster import manifests

from meshtrail.errors import Warnings
from meshtrail.mesh import build

RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: default}
spec:
  host: backend
  trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3%s}}
  subsets:
  - {name: v1, labels: {version: v1}%s}
"""
OWN = ", trafficPolicy: {outlierDetection: {maxEjectionPercent: %s}}"


@pytest.mark.parametrize(
    ("whole", "subset", "warned"),
    [
        ("", "", "spec.trafficPolicy.outlierDetection.maxEjectionPercent"),
        (", maxEjectionPercent: 0", "", "spec.trafficPolicy.outlierDetection.maxEjectionPercent"),
        (", maxEjectionPercent: 99", "", "spec.trafficPolicy.outlierDetection.maxEjectionPercent"),
        (", maxEjectionPercent: 100", "", ""),
        (", maxEjectionPercent: 100", OWN % 50, "spec.subsets[0].trafficPolicy.outlierDetection.maxEjectionPercent"),
        (", maxEjectionPercent: 100", OWN % 100, ""),
    ],
)
def test_a_part_of_one_pod_is_no_pod(whole: str, subset: str, warned: str, tmp_path: Path) -> None:
    warnings = Warnings()
    build(manifests(tmp_path, RULE % (whole, subset)), warnings=warnings)
    assert [problem.field for problem in warnings.problems] == ([warned] if warned else [])
    assert all("100 or more" in problem.mend for problem in warnings.problems)


def test_a_rule_without_outlier_detection_is_no_matter(tmp_path: Path) -> None:
    warnings = Warnings()
    build(
        manifests(tmp_path, RULE.replace("{outlierDetection: {consecutive5xxErrors: 3%s}}", "{}%s") % ("", "")),
        warnings=warnings,
    )
    assert warnings.problems == []
