"""Sidecars, and names in traces: more of what is reported, and what looks like it and is in order."""

from __future__ import annotations

import pytest
from tests.lint.support import (
    CART,
    DEPLOYMENT,
    MESH,
    NAMESPACE,
    PEER,
    PLAIN,
    SERVICE,
    annotated,
    found,
    levels,
    port,
    virtual_service,
)


def test_injection_missing() -> None:
    assert levels("injection-missing", PLAIN, SERVICE, DEPLOYMENT, PEER) == ["error"]
    assert levels("injection-missing", SERVICE, DEPLOYMENT, PEER) == []  # The Namespace may be labelled.
    assert levels("injection-missing", PLAIN, SERVICE, DEPLOYMENT) == []  # There may be no mesh.
    assert levels("injection-missing", PLAIN, PEER) == []  # Nothing runs there.
    own = DEPLOYMENT.replace("app: cart}}\n    spec", 'app: cart, sidecar.istio.io/inject: "true"}}\n    spec')
    assert levels("injection-missing", PLAIN, SERVICE, own, PEER) == []
    ambient = PLAIN.replace("name: shop", "name: shop, labels: {istio.io/dataplane-mode: ambient}")
    assert levels("injection-missing", ambient, SERVICE, DEPLOYMENT, PEER) == []


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ('labels: {istio-injection: "true"}', "'true' is not 'enabled'"),
        ("labels: {istio-injection: disabled}", "injection is switched off"),
        ("annotations: {istio-injection: enabled}", "an annotation, which nobody reads"),
    ],
)
def test_injection_missing_says_why(metadata: str, expected: str) -> None:
    (one,) = found("injection-missing", PLAIN.replace("name: shop", f"name: shop, {metadata}"), DEPLOYMENT, PEER)
    assert expected in one.text


def test_injection_missing_for_a_route_from_a_gateway_is_a_warning() -> None:
    route = virtual_service("{route: [{destination: {host: cart}}]}", hosts='["*"]', gateways="[gate]")
    assert levels("injection-missing", PLAIN, SERVICE, DEPLOYMENT, route) == ["warning"]


def test_injection_opted_out() -> None:
    said = annotated('sidecar.istio.io/inject: "false"')
    assert levels("injection-opted-out", NAMESPACE, SERVICE, said) == ["warning"]
    assert levels("injection-opted-out", PLAIN, SERVICE, said) == []
    assert levels("injection-opted-out", NAMESPACE, said) == []
    assert levels("injection-opted-out", NAMESPACE, port("{name: tcp, port: 8080}"), said) == []


def test_injection_misplaced() -> None:
    here = DEPLOYMENT.replace("namespace: shop}", 'namespace: shop, annotations: {sidecar.istio.io/inject: "false"}}')
    assert levels("injection-misplaced", *CART[:2], here) == ["warning"]
    assert levels("injection-misplaced", PLAIN, SERVICE, here) == []
    assert levels("injection-misplaced", *CART[:2], annotated('sidecar.istio.io/inject: "false"', here)) == []


def test_host_network() -> None:
    there = DEPLOYMENT.replace("spec: {containers", "spec: {hostNetwork: true, containers")
    assert levels("host-network", *CART[:2], there) == ["warning"]
    assert levels("host-network", PLAIN, SERVICE, there) == []
    assert levels("host-network", *CART[:2], there.replace("true", "false")) == []


def test_ambient_without_waypoint() -> None:
    ambient = PLAIN.replace("name: shop", "name: shop, labels: {istio.io/dataplane-mode: ambient}")
    assert levels("ambient-without-waypoint", ambient, SERVICE, DEPLOYMENT) == ["note"]
    own = SERVICE.replace("namespace: shop", "namespace: shop, labels: {istio.io/use-waypoint: w}")
    assert levels("ambient-without-waypoint", ambient, own, DEPLOYMENT) == []


def test_app_label() -> None:
    bare = DEPLOYMENT.replace("labels: {app: cart}", "labels: {tier: web}").replace("name: cart,", "name: cart-v1,", 1)
    service = SERVICE.replace("{app: cart}", "{tier: web}")
    assert levels("app-label", NAMESPACE, service, bare) == ["warning"]
    assert levels("app-label", service, bare) == ["note"]
    assert levels("app-label", PLAIN, service, bare) == []
    assert levels("app-label", NAMESPACE, bare) == []
    named = MESH.replace("meshConfig:", "meshConfig:\n    defaultConfig: {tracingServiceName: CANONICAL_NAME_ONLY}")
    assert levels("app-label", NAMESPACE, service, bare, named) == []
