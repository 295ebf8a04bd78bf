"""OpenTelemetry in applications, objects that are odd: more of what is reported, and what looks like it and is not."""

from __future__ import annotations

import pytest
from tests.lint.support import (
    CART,
    COLLECTOR,
    DEPLOYMENT,
    MESH,
    NAMESPACE,
    PLAIN,
    SERVICE,
    annotated,
    environment,
    found,
    levels,
    names,
    run,
    telemetry,
)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ENDPOINT": "http://jaeger.tracing:4317", "PROTOCOL": "http/protobuf"}, ["error"]),
        (
            {"ENDPOINT": "http://jaeger.tracing:4318", "PROTOCOL": "grpc"},
            ["error", "error"],
        ),  # nor is there such a port
        ({"ENDPOINT": "http://jaeger.tracing:4317/v1/traces"}, ["error"]),
        ({"TRACES_ENDPOINT": "http://jaeger.tracing:4317", "PROTOCOL": "http/json"}, ["error", "error"]),
        ({"ENDPOINT": "jaeger.tracing:4317"}, ["warning"]),
        ({"ENDPOINT": "http://localhost:4318"}, ["warning"]),
        ({"ENDPOINT": "http://jeager.tracing.svc:4317"}, ["error"]),
        ({"ENDPOINT": "http://jaeger:4317"}, ["error"]),
        ({"ENDPOINT": "http://jaeger.tracing:4317"}, []),
        ({"ENDPOINT": "http://jaeger.tracing.svc.cluster.local:4317/"}, []),
        ({"ENDPOINT": "jaeger.tracing:4317", "PROTOCOL": "grpc"}, []),
        ({"ENDPOINT": "https://otlp.example.com"}, []),
        ({"ENDPOINT": "http://collector.elsewhere:4317"}, []),
        ({"ENDPOINT": "http://$(HOST_IP):4317"}, []),
        ({"ENDPOINT": ""}, []),
    ],
)
def test_exporter_endpoint(variables: dict[str, str], expected: list[str]) -> None:
    own = environment(**{f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()})
    assert levels("exporter-endpoint", NAMESPACE, SERVICE, own, COLLECTOR.replace("PORT", "grpc-otlp")) == expected


def test_exporter_endpoint_from_a_config_map_is_reported_there() -> None:
    config = """
apiVersion: v1
kind: ConfigMap
metadata: {name: otel, namespace: shop}
data: {OTEL_EXPORTER_OTLP_ENDPOINT: "http://jaeger.tracing:4317", OTEL_EXPORTER_OTLP_PROTOCOL: http/protobuf}
"""
    own = DEPLOYMENT.replace("image: cart", "image: cart, envFrom: [{configMapRef: {name: otel}}]")
    (one,) = found("exporter-endpoint", NAMESPACE, own, config)
    assert one.object == "ConfigMap shop/otel"
    secret = "env: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, valueFrom: {secretKeyRef: {name: otel, key: X}}}]"
    assert found("exporter-endpoint", NAMESPACE, own.replace("image: cart", f"image: cart, {secret}"), config) == []
    by_key = "env: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, valueFrom: {configMapKeyRef: {name: otel, key: X}}}]"
    other = DEPLOYMENT.replace("image: cart", f"image: cart, {by_key}")
    assert found("exporter-endpoint", NAMESPACE, other, config) == []


def test_a_variable_may_name_another() -> None:
    own = environment(HOST="jeager", OTEL_EXPORTER_OTLP_ENDPOINT="http://$(HOST).tracing:4317")
    assert levels("exporter-endpoint", own, COLLECTOR.replace("PORT", "grpc-otlp")) == ["error"]


def test_an_exporter_to_a_collector_in_the_pod() -> None:
    own = environment(OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:4318")
    assert levels("exporter-endpoint", own.replace("[{name: cart,", "[{name: agent}, {name: cart,")) == []
    assert levels("exporter-endpoint", annotated('sidecar.opentelemetry.io/inject: "true"', own)) == []


def test_export_traced() -> None:
    own = environment(OTEL_EXPORTER_OTLP_ENDPOINT="http://jaeger.tracing:4317")
    assert levels("export-traced", NAMESPACE, SERVICE, own) == ["note"]
    assert levels("export-traced", SERVICE, own) == []
    excluded = annotated('traffic.sidecar.istio.io/excludeOutboundPorts: "4317"', own)
    assert levels("export-traced", NAMESPACE, SERVICE, excluded) == []
    assert levels("export-traced", NAMESPACE, SERVICE, own.replace("http://jaeger", "https://jaeger")) == []


@pytest.mark.parametrize(
    ("provider", "said", "expected"),
    [
        ("jaeger", "b3", ["error"]),
        ("jaeger", "tracecontext", []),
        ("zipkin", "tracecontext,baggage", ["error"]),
        ("zipkin", "b3multi", []),
        ("both", "tracecontext", []),
        ("both", "b3", []),
        ("jaeger", "b3,tracecontext", []),
        ("jaeger", "none", ["error"]),
        ("jaeger", "trace-context", ["warning"]),
        ("jaeger", "baggage,jaeger", []),
        ("jaeger", "own-thing", []),
    ],
)
def test_propagators(provider: str, said: str, expected: list[str]) -> None:
    own = environment(OTEL_PROPAGATORS=said)
    assert levels("propagators", MESH, telemetry(names(provider)), NAMESPACE, own) == expected


def test_propagators_need_to_know_the_provider() -> None:
    own = environment(OTEL_PROPAGATORS="b3")
    assert levels("propagators", NAMESPACE, own) == []
    assert levels("propagators", telemetry(names("jaeger")), NAMESPACE, own) == []
    assert levels("propagators", MESH, telemetry(names("jaeger")), PLAIN, own) == []
    # A narrower Telemetry wins.
    narrower = telemetry(names("zipkin"), "shop", "shop")
    assert levels("propagators", MESH, telemetry(names("jaeger")), narrower, NAMESPACE, own) == []
    unset = environment(OTEL_EXPORTER_OTLP_ENDPOINT="http://jaeger.tracing:4318")
    assert levels("propagators", MESH, telemetry(names("zipkin")), NAMESPACE, unset) == ["note"]
    assert levels("propagators", MESH, telemetry(names("jaeger")), NAMESPACE, unset) == []


@pytest.mark.parametrize(
    ("rule", "name", "wrong", "right"),
    [
        ("sampler", "OTEL_TRACES_SAMPLER", ["always_off", "traceidratio"], ["always_on", "parentbased_traceidratio"]),
        ("exporter-none", "OTEL_TRACES_EXPORTER", ["none", "console"], ["otlp", "otlp,console"]),
    ],
)
def test_sampler_and_exporter(rule: str, name: str, wrong: list[str], right: list[str]) -> None:
    for value in wrong:
        assert levels(rule, NAMESPACE, environment(**{name: value})) == ["warning"]
        assert levels(rule, PLAIN, environment(**{name: value})) == []
    for value in right:
        assert levels(rule, NAMESPACE, environment(**{name: value})) == []


def test_otel_variable() -> None:
    for name in ("OTEL_EXPORTER_OLTP_ENDPOINT", "OTEL_PROPAGATOR", "OTEL_SERVICENAME"):
        (one,) = found("otel-variable", NAMESPACE, environment(**{name: "x"}))
        assert one.mend.startswith("did you mean OTEL_")
    for name in ("OTEL_SERVICE_NAME", "OTEL_PYTHON_LOG_LEVEL", "OTEL_COLLECTOR_NAME", "MY_OTEL_SERVICENAME"):
        assert found("otel-variable", NAMESPACE, environment(**{name: "x"})) == []


@pytest.mark.parametrize(
    "odd",
    [
        "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: none, selector: [a]}",
        "apiVersion: v1\nkind: Service\nmetadata: []\nspec: 3",
        "apiVersion: v1\nkind: Namespace",
        "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {metadata: {labels: [a]}, spec: {containers: {}}}}",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nspec: {http: [1, {route: [x, {destination: 3}]}]}",
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nspec: {tracing: [x, {providers: [3]}]}",
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {meshConfig: []}",
        "apiVersion: v1\nkind: Pod\nspec: {containers: [{env: [x, {name: 3}], ports: [a]}]}",
        "apiVersion: example.com/v1\nkind: Telemetry\nmetadata: {name: x}\nspec: {tracing: [{providers: [{name: x}]}]}",
        "apiVersion: networking.istio.io/v1\nkind: EnvoyFilter\nspec: {configPatches: [{patch: {value: 1}}]}",
    ],
)
def test_what_is_odd_is_passed_over(odd: str) -> None:
    report = run(odd, *CART, MESH, telemetry(names("jaeger")))
    assert report.problems == ()
    assert [one for one in report.findings if one.level != "note"] == []
