"""The mesh configuration in its three forms."""

from __future__ import annotations

import pytest

from meshtrail.errors import ManifestError
from meshtrail.manifests import kinds, read_mesh_config

from .conftest import Read, Refuse

PROVIDERS = """\
extensionProviders:
- name: jaeger
  opentelemetry: {service: jaeger-collector.istio-system.svc.cluster.local, port: 4317, maxTagLength: 64}
- name: http
  opentelemetry: {service: jaeger-collector, port: 4318, http: {path: /v1/traces}}
- name: b3
  zipkin: {service: zipkin, port: 9411, traceContextOption: USE_B3_WITH_W3C_PROPAGATION}
- name: logs
  envoyOtelAls: {service: otel, port: 4317}
"""


def test_text_form() -> None:
    text = f"""\
{PROVIDERS}
enableTracing: false
defaultProviders: {{tracing: [jaeger], metrics: [prometheus]}}
defaultConfig: {{discoveryAddress: istiod, tracing: {{sampling: 42.5}}}}
rootNamespace: mesh
trustDomain: example
accessLogFile: /dev/stdout
"""
    found = read_mesh_config(text, "mesh.yaml")
    assert found.providers == (
        kinds.TracingProvider(
            "jaeger", "opentelemetry", "jaeger-collector.istio-system.svc.cluster.local", 4317, max_tag_length=64
        ),
        kinds.TracingProvider("http", "opentelemetry", "jaeger-collector", 4318, http_path="/v1/traces"),
        kinds.TracingProvider("b3", "zipkin", "zipkin", 9411, trace_context="USE_B3_WITH_W3C_PROPAGATION"),
    )
    assert found.other_providers == ("logs",)
    assert found.default_tracing_providers == ("jaeger",)
    assert (found.enable_tracing, found.default_sampling) == (False, 42.5)
    assert (found.root_namespace, found.trust_domain, found.access_log_file) == ("mesh", "example", "/dev/stdout")


def test_defaults_are_istios() -> None:
    found = read_mesh_config("{}", "mesh.yaml")
    assert (found.enable_tracing, found.default_sampling, found.root_namespace) == (True, 1.0, "istio-system")


def test_config_map_form(read: Read) -> None:
    text = f"""\
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  meshNetworks: "networks: {{}}"
  mesh: |
{"".join(f"    {line}" for line in PROVIDERS.splitlines(keepends=True))}"""
    manifests = read(text)
    assert list(manifests) == [("MeshConfig", "istio-system", "istio")]
    (found,) = manifests.of(kinds.MeshConfig)
    assert [one.name for one in found.providers] == ["jaeger", "http", "b3"]
    # Elsewhere a ConfigMap of that name is an ordinary one.
    assert not read(text.replace("istio-system", "shop", 1)).of(kinds.MeshConfig)


def operator(spec: str) -> str:
    return f"apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: a}}\nspec: {spec}\n"


def test_operator_form_and_demo_profile(read: Read) -> None:
    (found,) = read(operator("{profile: demo}")).of(kinds.MeshConfig)
    assert [one.name for one in found.providers] == ["otel-tracing", "jaeger"]
    assert found.default_sampling == 100.0
    own = "{profile: demo, meshConfig: {extensionProviders: [{name: z, zipkin: {service: z, port: 1}}]}}"
    (found,) = read(operator(own)).of(kinds.MeshConfig)
    assert [one.name for one in found.providers] == ["z"]
    (found,) = read(operator("{profile: default, meshConfig: {}}")).of(kinds.MeshConfig)
    assert (found.providers, found.default_sampling) == ((), 1.0)
    (found,) = read(operator("{profile: demo, values: {pilot: {traceSampling: 5}}}")).of(kinds.MeshConfig)
    assert found.default_sampling == 5.0
    sampled = "{profile: demo, meshConfig: {defaultConfig: {tracing: {sampling: 7}}}}"
    (found,) = read(operator(sampled)).of(kinds.MeshConfig)
    assert found.default_sampling == 7.0


@pytest.mark.parametrize(
    ("config", "field", "part"),
    [
        ("enableTracin: true", "enableTracin", "unknown field"),
        ("outboundTrafficPolicy: {mode: REGISTRY_ONLY}", "outboundTrafficPolicy.mode", "not carried out"),
        ("defaultConfig: {tracing: {zipkin: {address: a}}}", "defaultConfig.tracing.zipkin", "not carried out"),
        ("extensionProviders: [{name: a}]", "extensionProviders[0]", "needs one of opentelemetry, zipkin"),
        (
            "extensionProviders: [{name: a, zipkin: {service: z}}]",
            "extensionProviders[0].zipkin.port",
            "is required",
        ),
        (
            "extensionProviders: [{name: a, zipkin: {service: z, port: 1, enable64bitTraceId: true}}]",
            "extensionProviders[0].zipkin.enable64bitTraceId",
            "not carried out",
        ),
        (
            "extensionProviders: [{name: a, zipkin: {service: z, port: 1, traceContextOption: W3C}}]",
            "extensionProviders[0].zipkin.traceContextOption",
            "is not one of USE_B3",
        ),
        (
            "extensionProviders: [{name: a, prometheus: {}}, {name: a, prometheus: {}}]",
            "extensionProviders",
            "'a' is given twice",
        ),
        ("- a", "", "must be a mapping"),
        ("a: [", "", "YAML error"),
        ("a: 1\n---\nb: 1", "", "is one YAML document"),
    ],
)
def test_mistakes(config: str, field: str, part: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_mesh_config(config, "mesh.yaml")
    assert [problem.field for problem in caught.value.problems] == [field]
    assert part in caught.value.problems[0].message
    assert caught.value.problems[0].file == "mesh.yaml"


def test_operator_mistakes(refuse: Refuse) -> None:
    (problem,) = refuse(operator("{meshConfg: {}}"))
    assert problem.mend == "did you mean 'meshConfig'?"
    (problem,) = refuse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n")
    assert "needs the key mesh" in problem.message
