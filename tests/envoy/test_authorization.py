"""AuthorizationPolicies as filters: what they hold, and that a real Envoy takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.envoy.support import mesh_of, proxies, validate
from tests.parity.cluster import manifests

from meshtrail.envoy.authorization import filters
from meshtrail.errors import ManifestError, Warnings
from meshtrail.mesh import build

POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: %s, namespace: %s}
spec: %s
"""
BACKEND = "selector: {matchLabels: {app: backend}}"


def policy(spec: str, *, name: str = "one", namespace: str = "default") -> str:
    return POLICY % (name, namespace, spec)


def guards(folder: Path, proxy: str, *texts: str) -> list[dict[str, Any]]:
    """The RBAC rules of a proxy's first listener, in the order in which they are asked."""
    listener = proxies(folder, *texts)[proxy].listeners[0]
    found = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    names = [one["name"] for one in found]
    rules = [one["typed_config"]["rules"] for one in found if one["name"] == "envoy.filters.http.rbac"]
    assert names[: len(rules)] == ["envoy.filters.http.rbac"] * len(rules)
    return rules


def test_what_denies_is_asked_first(tmp_path: Path) -> None:
    allow = policy("{rules: [{}]}", name="allow")
    deny = policy("{action: DENY, rules: [{to: [{operation: {paths: [/query]}}]}]}", name="deny")
    found = guards(tmp_path, "backend", allow, deny)
    assert [one["action"] for one in found] == ["DENY", "ALLOW"]
    assert list(found[0]["policies"]) == ["ns[default]-policy[deny]-rule[0]"]


def test_a_selector_and_a_namespace_choose_the_proxies(tmp_path: Path) -> None:
    own, mesh_wide = policy(f"{{{BACKEND}}}"), policy("{}", name="all", namespace="istio-system")
    for text, expected in ((own, {"backend"}), (mesh_wide, {"istio-ingressgateway", "frontend", "backend"})):
        bound = {name for name in ("istio-ingressgateway", "frontend", "backend") if guards(tmp_path, name, text)}
        assert bound == expected


def test_without_rules_nothing_is_allowed(tmp_path: Path) -> None:
    assert guards(tmp_path, "backend", policy("{}")) == [{"action": "ALLOW"}]


def test_the_port_is_decided_when_the_configuration_is_made(tmp_path: Path) -> None:
    policies = mesh_of(tmp_path, policy("{rules: [{to: [{operation: {ports: ['8080']}}]}]}")).authorization_policies
    for port, expected in ((8080, {"any": True}), (3000, {"not_rule": {"any": True}})):
        (found,) = filters(policies, port)
        (permission,) = found["typed_config"]["rules"]["policies"]["ns[default]-policy[one]-rule[0]"]["permissions"]
        assert permission["and_rules"]["rules"] == [{"or_rules": {"rules": [expected]}}]


def test_envoy_takes_every_condition(tmp_path: Path) -> None:
    text = policy(
        """{action: DENY, rules: [{
        to: [{operation: {methods: [GET, "P*"], notPaths: ["/a", "/b/*", "*/c", "*"], hosts: ["*", "*.example"]}}],
        when: [{key: "request.headers[x-tier]", values: ["*", "a*"], notValues: [b]}]}]}"""
    )
    proxy = proxies(tmp_path, text)["backend"]
    assert validate(proxy, tmp_path) == ""


def test_a_tcp_port_behind_a_policy_is_refused(tmp_path: Path) -> None:
    tcp = """
apiVersion: v1
kind: Service
metadata: {name: database, namespace: default}
spec: {selector: {app: database}, ports: [{name: tcp, port: 8080, targetPort: 8080}]}
"""
    with pytest.raises(ManifestError, match="TCP port 8080"):
        mesh_of(tmp_path, tcp, policy("{selector: {matchLabels: {app: database}}}"))


def test_a_selector_that_fits_nothing_is_warned_about(tmp_path: Path) -> None:
    warnings = Warnings()
    build(manifests(tmp_path, policy("{selector: {matchLabels: {app: nobody}}}")), warnings=warnings)
    assert any("selects no workload" in str(problem) for problem in warnings.problems)
