"""Providers: more of what is reported, and what looks like it and is in order."""

from __future__ import annotations

import pytest
from tests.lint.support import COLLECTOR, MESH, found, levels, names, telemetry


def test_unknown_provider() -> None:
    assert levels("unknown-provider", MESH, telemetry(names("nobody"))) == ["error"]
    assert levels("unknown-provider", MESH, telemetry(names("zipkin"))) == []
    assert levels("unknown-provider", MESH, telemetry(names("envoy"))) == ["error"]
    assert levels("unknown-provider", telemetry(names("jaeger"))) == ["note"]
    assert levels("unknown-provider", telemetry(names("envoy"))) == ["error"]
    demo = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {profile: demo}"
    assert levels("unknown-provider", demo, telemetry(names("jaeger"))) == []
    assert levels("unknown-provider", demo.replace("demo", "default"), telemetry(names("jaeger"))) == ["error"]
    default = MESH.replace("meshConfig:", "meshConfig:\n    defaultProviders: {tracing: [jeager]}")
    (one,) = found("unknown-provider", default)
    assert one.field == "spec.meshConfig.defaultProviders.tracing[0]"
    assert one.mend == "did you mean 'jaeger'?"


def test_a_mesh_configuration_of_helm_and_of_istiod_counts() -> None:
    values = """meshConfig:
  extensionProviders:
    - name: own
      zipkin: {service: z.t.svc.cluster.local, port: 9411}
"""
    assert levels("unknown-provider", values, telemetry(names("own"))) == []
    assert levels("unknown-provider", values, telemetry(names("other"))) == ["error"]
    text = "".join(f"    {line}\n" for line in values.splitlines()[1:])
    config = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n{text}"
    )
    assert levels("unknown-provider", config, telemetry(names("own"))) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("grpc-otlp", []), ("http2", []), ("otlp", ["error"]), ("tcp-otlp", ["error"]), ("http-otlp", ["error"])],
)
def test_provider_service_and_the_name_of_its_port(name: str, expected: list[str]) -> None:
    found_ = found("provider-service", MESH, COLLECTOR.replace("PORT", name), telemetry(names("jaeger")))
    assert [one.level for one in found_ if "'jaeger'" in one.text] == expected


def test_provider_service_over_http_wants_no_grpc_port() -> None:
    over_http = MESH.replace("port: 4317}", "port: 4317, http: {path: /v1/traces}}")
    for name, expected in (("http-otlp", []), ("grpc-otlp", ["error"])):
        seen = found("provider-service", over_http, COLLECTOR.replace("PORT", name), telemetry(names("jaeger")))
        assert [one.level for one in seen if "'jaeger'" in one.text] == expected


@pytest.mark.parametrize(
    ("service", "port", "level"),
    [
        ("jaeger.tracing.svc.cluster.local", 4318, "error"),
        ("jeager.tracing.svc.cluster.local", 4317, "error"),
        ("jaeger.tracing", 4317, "error"),
        ("jaeger.tracing.svc", 4317, "error"),
        ("jaeger", 4317, "error"),
        ("otel.example.com", 4317, "note"),
        ("other.elsewhere.svc.cluster.local", 4317, ""),
        ("tracing/jaeger.tracing.svc.cluster.local", 4317, ""),
    ],
)
def test_provider_service_by_its_address(service: str, port: int, level: str) -> None:
    mesh = MESH.replace("jaeger.tracing.svc.cluster.local, port: 4317", f"{service}, port: {port}")
    documents = (mesh, COLLECTOR.replace("PORT", "grpc-otlp"), telemetry(names("jaeger")))
    seen = [one.level for one in found("provider-service", *documents) if "'jaeger'" in one.text]
    assert seen == ([level] if level else [])
    # Nobody uses it: no more than worth knowing.
    unused = found("provider-service", *documents[:2], telemetry(names("both")))
    assert {one.level for one in unused if "'jaeger'" in one.text} <= {"note"}


def test_a_service_entry_makes_a_host_known() -> None:
    mesh = MESH.replace("jaeger.tracing.svc.cluster.local", "otel.example.com")
    entry = (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: x}\nspec: {hosts: ['*.example.com']}"
    )
    assert [one for one in found("provider-service", mesh, entry) if "'jaeger'" in one.text] == []
