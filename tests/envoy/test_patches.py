"""EnvoyFilter patches on routes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.envoy.support import proxies, routes_to

from meshtrail.envoy.patches import merge, snake_case

FILTER = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: quiet, namespace: %(namespace)s}
spec:
  %(selector)s
  configPatches:
  - applyTo: HTTP_ROUTE
    match: {context: %(context)s, routeConfiguration: {vhost: {route: {name: %(route)s}}}}
    patch: {operation: MERGE, value: {tracing: {clientSampling: {numerator: 0}, random_sampling: {numerator: 0}}}}
"""
NAME = "backend.default.svc.cluster.local:8080"


def text(context: str, route: str = "default", namespace: str = "istio-system", selector: str = "") -> str:
    return FILTER % {"context": context, "route": route, "namespace": namespace, "selector": selector}


def test_both_spellings_become_one() -> None:
    assert snake_case({"clientSampling": {"typedConfig": [{"numRetries": 1}]}, "@type": "a.B"}) == {
        "client_sampling": {"typed_config": [{"num_retries": 1}]},
        "@type": "a.B",
    }
    assert snake_case({"filterMetadata": {"myKey": {"innerKey": 1}}})["filter_metadata"]["myKey"]


def test_merge_is_protobuf_s() -> None:
    old = {"a": {"b": 1, "c": 2}, "list": [1], "x": "old"}
    assert merge(old, {"a": {"b": 3}, "list": [2], "x": "new"}) == {"a": {"b": 3, "c": 2}, "list": [1, 2], "x": "new"}
    assert old["x"] == "old"


@pytest.mark.parametrize(
    ("patch", "patched"),
    [
        (text("SIDECAR_OUTBOUND"), True),
        (text("ANY"), True),
        (text("SIDECAR_OUTBOUND", namespace="default"), True),
        (text("SIDECAR_OUTBOUND", namespace="default", selector="workloadSelector: {labels: {app: frontend}}"), True),
        (text("SIDECAR_OUTBOUND", namespace="default", selector="workloadSelector: {labels: {app: backend}}"), False),
        (text("SIDECAR_OUTBOUND", namespace="elsewhere"), False),
        (text("SIDECAR_OUTBOUND", route="other"), False),
        (text("GATEWAY"), False),
        (text("SIDECAR_INBOUND"), False),
    ],
)
def test_where_a_patch_reaches(patch: str, patched: bool, tmp_path: Path) -> None:
    (route,) = routes_to(proxies(tmp_path, patch)["frontend"], NAME)
    assert ("tracing" in route) is patched
    if patched:
        assert route["tracing"] == {"client_sampling": {"numerator": 0}, "random_sampling": {"numerator": 0}}
        assert route["route"]["cluster"].startswith("outbound|8080|")
