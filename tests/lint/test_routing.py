"""Routes, gateways, health checks: more of what is reported, and what looks like it and is in order."""

from __future__ import annotations

import pytest
from tests.lint.support import (
    CART,
    DEPLOYMENT,
    MESH,
    NAMESPACE,
    PLAIN,
    PROBE,
    SERVICE,
    annotated,
    found,
    levels,
    virtual_service,
)


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("{host: carts}", ["error"]),
        ("{host: cart.shop}", ["error"]),
        ("{host: cart, port: {number: 80}}", ["error"]),
        ("{host: carts.shop.svc.cluster.local}", ["error"]),
        ("{host: cart, port: {number: 8080}}", []),
        ("{host: cart.other.svc.cluster.local}", []),
        ("{host: cart.other}", []),
        ("{host: www.example.com}", []),
        ("{host: cart.shop.svc.cluster.local}", []),
    ],
)
def test_route_host(destination: str, expected: list[str]) -> None:
    route = virtual_service(f"{{route: [{{destination: {destination}}}]}}")
    assert levels("route-host", *CART, route) == expected
    mirrored = virtual_service(f"{{route: [{{destination: {{host: cart}}}}], mirror: {destination}}}")
    assert levels("route-host", *CART, mirrored) == expected


def test_route_host_says_nothing_where_the_application_is_not_there() -> None:
    route = virtual_service("{route: [{destination: {host: carts}}]}", hosts="[carts]")
    assert levels("route-host", route) == []
    assert levels("route-host", SERVICE, route) == []
    assert len(levels("route-host", *CART, route)) == 2  # the destination, and the host that it rules
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: x}
spec: {hosts: [carts.shop.svc.cluster.local]}
"""
    assert levels("route-host", *CART, route, entry) == []


def test_route_host_of_an_http_route() -> None:
    route = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec: {rules: [{backendRefs: [{name: NAME, port: 8080}]}]}
"""
    assert levels("route-host", *CART, route.replace("NAME", "carts")) == ["error"]
    assert levels("route-host", *CART, route.replace("NAME", "cart")) == []
    assert levels("route-host", *CART, route.replace("NAME", "cart").replace("8080", "80")) == ["error"]


def test_route_subset() -> None:
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart.shop.svc.cluster.local, subsets: [{name: v1, labels: {version: v1}}]}
"""
    route = virtual_service("{route: [{destination: {host: cart, subset: v1}}]}")
    versioned = DEPLOYMENT.replace("labels: {app: cart}}\n", "labels: {app: cart, version: v1}}\n")
    assert levels("route-subset", NAMESPACE, SERVICE, versioned, rule, route) == []
    assert levels("route-subset", *CART, rule, route) == ["warning"]  # no pod is v1
    waiting = "{route: [{destination: {host: cart}, weight: 100}, {destination: {host: cart, subset: v1}, weight: 0}]}"
    assert levels("route-subset", *CART, rule, virtual_service(waiting)) == []
    assert levels("route-subset", *CART, rule, route.replace("subset: v1", "subset: v2")) == ["error"]
    assert levels("route-subset", *CART, route) == ["error"]
    assert levels("route-subset", route) == []
    assert levels("route-subset", rule, route) == []


def test_header_removal() -> None:
    for remove, expected in (("X-B3-TraceId", ["warning"]), ("traceparent", ["warning"]), ("x-user", [])):
        route = f"{{headers: {{request: {{remove: [{remove}]}}}}, route: [{{destination: {{host: cart}}}}]}}"
        assert levels("header-removal", virtual_service(route)) == expected
        response = route.replace("request:", "response:")
        assert levels("header-removal", virtual_service(response)) == []
    route = "{headers: {request: {remove: [X-Request-Id]}}, route: [{destination: {host: cart}}]}"
    (one,) = found("header-removal", virtual_service(route))
    assert "decision about sampling" in one.text
    api = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart}
spec: {rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [traceparent]}}]}]}
"""
    assert levels("header-removal", api) == ["warning"]


def test_gateway_selector() -> None:
    gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {selector: {istio: NAME}}"
    assert levels("gateway-selector", gateway.replace("NAME", "ingressgateway")) == []
    assert levels("gateway-selector", gateway.replace("NAME", "public")) == ["note"]
    operator = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec: {components: {ingressGateways: [{name: public, enabled: true, label: {istio: public}}]}}
"""
    assert levels("gateway-selector", gateway.replace("NAME", "public"), operator) == []
    assert levels("gateway-selector", gateway.replace("NAME", "pubic"), operator) == ["error"]


def test_probes_not_rewritten() -> None:
    said = annotated('sidecar.istio.io/rewriteAppHTTPProbers: "false"', PROBE)
    assert levels("probes-not-rewritten", *CART[:2], said) == ["warning"]
    assert levels("probes-not-rewritten", PLAIN, SERVICE, said) == []
    assert levels("probes-not-rewritten", *CART[:2], said.replace("httpGet", "tcpSocket")) == []
    values = "meshConfig: {}\nsidecarInjectorWebhook: {rewriteAppHTTPProbe: false}"
    assert levels("probes-not-rewritten", values) == ["warning"]


def test_health_route_traced() -> None:
    def route(path: str, name: str = "") -> str:
        named = f"name: {name}, " if name else ""
        match = f"{{{named}match: [{{uri: {{exact: {path}}}}}], route: [{{destination: {{host: cart}}}}]}}"
        return virtual_service(match, hosts='["*"]', gateways="[gate]")

    assert levels("health-route-traced", *CART[:2], PROBE, route("/up")) == ["note"]
    assert levels("health-route-traced", *CART[:2], PROBE, route("/other")) == []
    assert levels("health-route-traced", route("/healthz")) == ["note"]
    # One with a name may be excluded where the mesh's own objects are.
    assert levels("health-route-traced", route("/healthz", "health")) == []
    assert levels("health-route-traced", MESH, route("/healthz", "health")) == ["note"]
