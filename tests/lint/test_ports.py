"""Ports: more of what is reported, and what looks like it and is in order."""

from __future__ import annotations

import pytest
from tests.lint.support import CART, DEPLOYMENT, NAMESPACE, PLAIN, PROBE, SERVICE, annotated, levels, port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{port: 8080}", ["warning"]),
        ("{name: httpweb, port: 8080}", ["warning"]),
        ("{name: web-http, port: 8080}", ["warning"]),
        ("{name: web, port: 8080, appProtocol: web}", ["warning"]),
        ("{name: HTTP-web, port: 8080}", []),
        ("{name: grpc-web, port: 8080}", []),
        ("{name: web, port: 8080, appProtocol: kubernetes.io/h2c}", []),
        ("{name: tls, port: 8443}", []),
        ("{name: postgres, port: 5432}", []),
        ("{name: db, port: 80, targetPort: 3306}", []),
        ("{name: http-metrics, port: 9090}, {name: prometheus, port: 9091}", []),
        ("{name: dns, port: 53, protocol: UDP}", []),
        ("{name: otlp, port: 4317}", []),
    ],
)
def test_port_protocol(text: str, expected: list[str]) -> None:
    assert levels("port-protocol", NAMESPACE, port(text), DEPLOYMENT) == expected


def test_port_protocol_asks_whether_there_is_a_mesh() -> None:
    web = port("{name: web, port: 8080}")
    assert levels("port-protocol", web, DEPLOYMENT) == ["note"]
    assert levels("port-protocol", PLAIN, web, DEPLOYMENT) == []
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: x, namespace: shop}
spec: {host: cart}
"""
    assert levels("port-protocol", web, DEPLOYMENT, rule) == ["warning"]
    external = "apiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: shop}\nspec: {type: ExternalName}"
    assert levels("port-protocol", NAMESPACE, external) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{name: tcp, port: 8080}", ["warning"]),
        ("{name: web, port: 80, targetPort: 8080, appProtocol: tcp}", ["warning"]),
        ("{name: tcp, port: 7070}", []),
        ("{name: https, port: 8080}", []),
        ("{name: http, port: 6379}", ["warning"]),
        ("{name: redis, port: 6379}", []),
        ("{name: tcp-metrics, port: 8080}", []),
    ],
)
def test_port_mismatch(text: str, expected: list[str]) -> None:
    assert levels("port-mismatch", NAMESPACE, port(text), PROBE) == expected


def test_port_mismatch_of_grpc() -> None:
    served = DEPLOYMENT.replace("image: cart", "image: cart, ports: [{name: grpc, containerPort: 8080}]")
    assert levels("port-mismatch", NAMESPACE, SERVICE, served) == ["warning"]
    assert levels("port-mismatch", NAMESPACE, port("{name: grpc, port: 8080}"), served) == []
    probed = DEPLOYMENT.replace("image: cart", "image: cart, livenessProbe: {grpc: {port: 8080}}")
    assert levels("port-mismatch", NAMESPACE, SERVICE, probed) == ["warning"]


def test_traffic_excluded() -> None:
    out = 'traffic.sidecar.istio.io/excludeOutboundPorts: "8081"'
    other = SERVICE.replace("cart", "orders").replace("8080", "8081") + "---" + DEPLOYMENT.replace("cart", "orders")
    assert levels("traffic-excluded", *CART[:2], annotated(out), other) == ["warning"]
    assert levels("traffic-excluded", *CART[:2], annotated(out.replace("8081", "8082")), other) == []
    assert levels("traffic-excluded", *CART[:2], annotated(out), other.replace("name: http", "name: tcp")) == []
    inbound = 'traffic.sidecar.istio.io/excludeInboundPorts: "80"'
    away = port("{name: http, port: 80, targetPort: 8080}")
    # Inbound it is the container's port, which is another one.
    assert levels("traffic-excluded", NAMESPACE, away, annotated(inbound)) == []
