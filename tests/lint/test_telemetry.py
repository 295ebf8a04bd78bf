"""Telemetry objects, sampling, what sidecars reach: more of what is reported, and what looks like it and is not."""

from __future__ import annotations

import pytest
from tests.lint.support import CART, MESH, annotated, found, levels, names, telemetry


def test_telemetry_competes() -> None:
    one = telemetry(names("jaeger"))
    assert levels("telemetry-competes", one, telemetry(names("zipkin"), "other")) == ["error"]
    assert levels("telemetry-competes", one, one) == []
    assert levels("telemetry-competes", one, telemetry(names("zipkin"), "other", "shop")) == []
    chosen = telemetry("{}", "a", "shop", "{matchLabels: {app: cart}}")
    assert levels("telemetry-competes", one, chosen, telemetry("{}", "b", "shop", "{matchLabels: {app: orders}}")) == []
    assert levels("telemetry-competes", chosen, telemetry("{}", "b", "shop", "{matchLabels: {app: cart}}")) == ["error"]
    logs = [text.replace("tracing: [{}]", "accessLogging: [{}]") for text in (chosen, telemetry("{}", "b", "shop"))]
    assert levels("telemetry-competes", *logs, telemetry("{}", "c", "shop").replace("tracing", "metrics")) == []


def test_telemetry_selects_nothing() -> None:
    selector = "{matchLabels: {app: cart}}"
    assert levels("telemetry-selects-nothing", *CART, telemetry("{}", "a", "shop", selector)) == []
    (one,) = found("telemetry-selects-nothing", *CART, telemetry("{}", "a", "istio-system", selector))
    assert "in its own namespace only" in one.text
    assert levels("telemetry-selects-nothing", telemetry("{}", "a", "shop", selector)) == []
    gateway = "{matchLabels: {istio: ingressgateway}}"
    assert levels("telemetry-selects-nothing", *CART, telemetry("{}", "a", "istio-system", gateway)) == []


def test_sampling_default() -> None:
    silent = telemetry("{providers: [{name: jaeger}]}")
    assert levels("sampling-default", silent) == ["note"]
    assert levels("sampling-default", MESH, silent) == ["warning"]
    assert levels("sampling-default", MESH.replace("spec:", "spec:\n  profile: demo"), silent) == []
    pilot = MESH.replace("spec:", "spec:\n  values: {pilot: {traceSampling: 3}}")
    assert levels("sampling-default", pilot, silent) == []
    narrower = telemetry("{providers: [{name: jaeger}]}", "shop", "shop")
    assert levels("sampling-default", MESH, telemetry(names("jaeger")), narrower) == []
    assert levels("sampling-default", MESH, telemetry("{customTags: {}}")) == []


def test_sampling_zero() -> None:
    assert levels("sampling-zero", telemetry("{randomSamplingPercentage: 0.0}")) == ["warning"]
    assert levels("sampling-zero", telemetry("{randomSamplingPercentage: 0.01}")) == []
    assert levels("sampling-zero", telemetry("{disableSpanReporting: true, randomSamplingPercentage: 0}")) == []
    values = "meshConfig: {}\npilot: {traceSampling: '0'}"
    assert levels("sampling-zero", values) == ["warning"]
    pod = annotated('proxy.istio.io/config: "{tracing: {sampling: 0}}"')
    assert levels("sampling-zero", *CART[:2], pod) == ["warning"]
    assert levels("sampling-zero", *CART[:2], pod, telemetry(names("jaeger"))) == []
    assert levels("sampling-zero", *CART[:2], pod.replace("sampling: 0", "sampling: 10")) == []


def test_tracing_disabled() -> None:
    for field in ("disableSpanReporting", "disableContextPropagation"):
        assert levels("tracing-disabled", telemetry(f"{{{field}: true}}")) == ["note"]
        assert levels("tracing-disabled", telemetry(f"{{{field}: false}}")) == []
    assert levels("tracing-disabled", MESH.replace("meshConfig:", "meshConfig:\n    enableTracing: false")) == ["note"]


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ('["./*"]', ["error"]),
        ('["./*", "other/*"]', ["error"]),
        ('["~/*"]', ["error"]),
        ('["./*", "tracing/zipkin.tracing.svc.cluster.local"]', ["error"]),
        ('["*/*"]', []),
        ('["./*", "tracing/jaeger.tracing.svc.cluster.local"]', []),
        ('["*/*.svc.cluster.local"]', []),
    ],
)
def test_sidecar_hides_collector(hosts: str, expected: list[str]) -> None:
    sidecar = f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default, namespace: shop}}
spec: {{egress: [{{hosts: {hosts}}}]}}
"""
    assert levels("sidecar-hides-collector", MESH, telemetry(names("jaeger")), sidecar) == expected
    assert levels("sidecar-hides-collector", telemetry(names("jaeger")), sidecar) == []


def test_provider_formats() -> None:
    whole = telemetry(names("jaeger"))
    for name, expected in (("zipkin", ["warning"]), ("both", []), ("jaeger", [])):
        assert levels("provider-formats", MESH, whole, telemetry(names(name), "shop", "shop")) == expected
    assert levels("provider-formats", whole, telemetry(names("zipkin"), "shop", "shop")) == []
