"""Which VirtualService rules, and what is decided before any request."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.parity.cluster import manifests

from meshtrail.manifests import kinds
from meshtrail.mesh import build, routing
from meshtrail.mesh.routing import string_holds

BACKEND = "backend.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("*", BACKEND, True),
        ("*.example.com", "shop.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "shopexample.com", False),
        (BACKEND, BACKEND, True),
        ("backend", BACKEND, False),
    ],
)
def test_host_patterns(pattern: str, host: str, expected: bool) -> None:
    assert routing.host_matches(pattern, host) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("*", "a.example", "a.example"),
        ("a.example", "*", "a.example"),
        ("*.example", "a.example", "a.example"),
        ("a.example", "b.example", ""),
    ],
)
def test_the_narrower_of_two_hosts(one: str, other: str, expected: str) -> None:
    assert routing.hosts_overlap(one, other) == expected


VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s, namespace: default}
spec: {hosts: ["%s"], http: [{route: [{destination: {host: backend}}]}]}
"""


def test_an_exact_host_wins_over_a_wildcard(tmp_path: Path) -> None:
    wildcard = VIRTUAL_SERVICE % ("all", "*.default.svc.cluster.local")
    mesh = build(manifests(tmp_path, wildcard, VIRTUAL_SERVICE % ("one", "backend")))
    found = {
        name: routing.for_service(mesh, mesh.services[f"{name}.default.svc.cluster.local"], "default")
        for name in ("backend", "database")
    }
    assert {name: rule.meta.name for name, rule in found.items() if rule} == {"backend": "one", "database": "all"}


def test_a_gateway_s_virtual_service_is_not_the_sidecars(tmp_path: Path) -> None:
    mesh = build(manifests(tmp_path))
    assert routing.for_service(mesh, mesh.services["frontend.default.svc.cluster.local"], "default") is None
    (listener,) = mesh.gateways[0].listeners
    assert list(routing.for_gateway(mesh, listener)) == ["*"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("*", ["shop.example"]),
        ("*.example", ["shop.example"]),
        ("default/*", ["shop.example"]),
        ("./shop.example", ["shop.example"]),
        ("elsewhere/*", []),
        ("other.example", []),
    ],
)
def test_a_gateway_takes_the_hosts_of_its_server(host: str, expected: list[str], tmp_path: Path) -> None:
    gateway = f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: frontend, namespace: default}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["{host}"]}}]
"""
    rule = (VIRTUAL_SERVICE % ("frontend", "shop.example")).replace("spec: {", "spec: {gateways: [frontend], ")
    mesh = build(manifests(tmp_path, gateway, rule))
    assert list(routing.for_gateway(mesh, mesh.gateways[0].listeners[0])) == expected


@pytest.mark.parametrize(
    ("condition", "text", "expected"),
    [
        (kinds.StringMatch("regex", "back.*"), "backend:8080", True),
        (kinds.StringMatch("regex", "back"), "backend:8080", False),
        (kinds.StringMatch("prefix", "back"), "backend", True),
        (kinds.StringMatch("exact", "back"), "backend", False),
        (kinds.StringMatch("present"), "x", True),
        (kinds.StringMatch("regex", r"(?i)BACKEND:\d+\z"), "backend:8080", True),
    ],
)
def test_string_holds(condition: kinds.StringMatch, text: str, expected: bool) -> None:
    assert string_holds(condition, text) is expected


@pytest.mark.parametrize("regex", [r"\pL+", "[[:alpha:]]+", "(?U)a+", "(?i-s:a)"])
def test_what_python_reads_otherwise_is_not_decided(regex: str) -> None:
    assert routing.compiled(regex) is None
