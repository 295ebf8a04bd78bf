"""Gateway, ServiceEntry, DestinationRule, Telemetry and EnvoyFilter: what is read, and mistakes with near misses."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshtrail.errors import Warnings
from meshtrail.manifests import kinds, load

from .conftest import Read, Refuse


def manifest(kind: str, spec: str, group: str = "networking", version: str = "v1") -> str:
    head = f"apiVersion: {group}.istio.io/{version}\nkind: {kind}\nmetadata: {{name: a, namespace: shop}}\n"
    return f"{head}spec: {spec}\n"


# ------------------------------------------------------------------------------------------------- Gateway

SERVER = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}"


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_gateway(read: Read, version: str) -> None:
    spec = f"{{selector: {{istio: ingressgateway}}, servers: [{SERVER}]}}"
    (found,) = read(manifest("Gateway", spec, version=version)).of(kinds.Gateway)
    assert found.selector == {"istio": "ingressgateway"}
    assert found.servers == (kinds.GatewayServer(80, "http", "HTTP", ("*",)),)


@pytest.mark.parametrize(
    ("old", "new", "field", "part"),
    [
        ("protocol: HTTP", "protocol: HTTPX", "spec.servers[0].port.protocol", "is not one of"),
        ("protocol: HTTP", "protocol: TCP", "spec.servers[0].port.protocol", "not carried out"),
        ("protocol: HTTP", "protocol: 1", "spec.servers[0].port.protocol", "must be a string"),
        ("number: 80", "number: 0", "spec.servers[0].port.number", "out of range"),
        ("number: 80, ", "", "spec.servers[0].port.number", "is required"),
        ("hosts: ['*']", "hosts: []", "spec.servers[0].hosts", "must not be empty"),
        ("hosts: ['*']", "host: ['*'], hosts: [a]", "spec.servers[0].host", "unknown field 'host'"),
        ("hosts: ['*']", "hosts: ['*'], tls: {httpsRedirect: true}", "spec.servers[0].tls", "not carried out"),
    ],
)
def test_gateway_mistakes(refuse: Refuse, old: str, new: str, field: str, part: str) -> None:
    problems = refuse(manifest("Gateway", f"{{servers: [{SERVER.replace(old, new)}]}}"))
    assert (problems[0].field, len(problems)) == (field, 1)
    assert part in problems[0].message


# -------------------------------------------------------------------------------------------- ServiceEntry


def test_service_entry(read: Read) -> None:
    spec = """
  hosts: [api.example.com]
  exportTo: ["*"]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: 127.0.0.1}]
"""
    (found,) = read(manifest("ServiceEntry", spec)).of(kinds.ServiceEntry)
    assert found.ports == (kinds.ServiceEntryPort(80, "http", "HTTP", 8080),)
    assert (found.resolution, found.endpoints) == ("STATIC", ("127.0.0.1",))


@pytest.mark.parametrize(
    ("rest", "part"),
    [
        ("resolution: DSN", "is not one of"),
        ("resolution: NONE", "resolution NONE is not carried out"),
        ("resolution: STATIC", "needs endpoints"),
        ("resolution: DNS, exportTo: ['.']", "not carried out"),
        ("resolution: DNS, addresses: [10.0.0.1]", "not carried out"),
    ],
)
def test_service_entry_mistakes(read: Read, refuse: Refuse, rest: str, part: str) -> None:
    spec = "{{hosts: [a.b], ports: [{{number: 80, name: http, protocol: HTTP}}], {}}}"
    assert any(part in problem.message for problem in refuse(manifest("ServiceEntry", spec.format(rest))))
    read(manifest("ServiceEntry", spec.format("resolution: DNS")))


# ----------------------------------------------------------------------------------------- DestinationRule


def test_destination_rule(read: Read) -> None:
    spec = """
  host: backend
  trafficPolicy:
    loadBalancer: {simple: LEAST_CONN}
    connectionPool:
      tcp: {maxConnections: 1, connectTimeout: 500ms}
      http:
        {http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRequestsPerConnection: 3, maxRetries: 4, idleTimeout: 1m}
    outlierDetection:
      {consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 3m, maxEjectionPercent: 100, minHealthPercent: 0}
    tls: {mode: DISABLE}
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy:
      loadBalancer: {consistentHash: {httpCookie: {name: user, ttl: 0s}, ringHash: {minimumRingSize: 64}}}
"""
    (found,) = read(manifest("DestinationRule", spec)).of(kinds.DestinationRule)
    assert found.host == "backend"
    assert found.traffic_policy == kinds.TrafficPolicy(
        lb="LEAST_REQUEST",
        connection_pool={
            "maxConnections": 1,
            "connectTimeout": 0.5,
            "http1MaxPendingRequests": 1,
            "http2MaxRequests": 2,
            "maxRequestsPerConnection": 3,
            "maxRetries": 4,
            "idleTimeout": 60.0,
        },
        outlier_detection={
            "consecutive5xxErrors": 2,
            "interval": 1.0,
            "baseEjectionTime": 180.0,
            "maxEjectionPercent": 100,
            "minHealthPercent": 0,
        },
        tls_mode="DISABLE",
    )
    hashed = {"httpCookie": {"name": "user", "ttl": 0.0}, "ringHash": {"minimumRingSize": 64}}
    assert found.subsets == (
        kinds.Subset("v1", {"version": "v1"}),
        kinds.Subset("v2", {"version": "v2"}, kinds.TrafficPolicy(lb_consistent_hash=hashed)),
    )


@pytest.mark.parametrize(
    ("policy", "part", "right"),
    [
        ("loadBalancer: {simple: ROUNDROBIN}", "did you mean 'ROUND_ROBIN'?", "loadBalancer: {simple: ROUND_ROBIN}"),
        ("loadBalancer: {localityLbSetting: {}}", "not carried out", "loadBalancer: {}"),
        (
            "loadBalancer: {consistentHash: {}}",
            "needs one of httpHeaderName",
            "loadBalancer: {consistentHash: {useSourceIp: true}}",
        ),
        (
            "loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}",
            "only one of simple, consistentHash",
            "loadBalancer: {simple: RANDOM}",
        ),
        (
            "outlierDetection: {maxEjectionPercent: 101}",
            "101 is out of range, allowed: 0 to 100",
            "outlierDetection: {maxEjectionPercent: 100}",
        ),
        ("outlierDetection: {consecutiveErrors: 1}", "use consecutive5xxErrors", "outlierDetection: {interval: 1s}"),
        ("connectionPool: {tcp: {maxConnections: 0}}", "out of range", "connectionPool: {tcp: {maxConnections: 1}}"),
        ("connectionPool: {http: {maxConnections: 1}}", "unknown field", "connectionPool: {http: {}}"),
        ("tls: {mode: MUTUAL}", "tls mode MUTUAL is not carried out", "tls: {mode: SIMPLE, sni: a.example}"),
        ("portLevelSettings: []", "for the whole host", "connectionPool: {}"),
    ],
)
def test_traffic_policy_mistakes(read: Read, refuse: Refuse, policy: str, part: str, right: str) -> None:
    spec = "{{host: backend, trafficPolicy: {{{}}}}}"
    assert any(part in str(problem) for problem in refuse(manifest("DestinationRule", spec.format(policy))))
    read(manifest("DestinationRule", spec.format(right)))


def test_subset_twice(refuse: Refuse) -> None:
    problems = refuse(manifest("DestinationRule", "{host: a, subsets: [{name: v1}, {name: v1}]}"))
    assert "'v1' is given twice" in problems[0].message


def test_mutual_tls_is_taken_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(manifest("DestinationRule", "{host: a, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}"))
    warnings = Warnings()
    (found,) = load([path], warnings=warnings).of(kinds.DestinationRule)
    assert found.traffic_policy.tls_mode == "ISTIO_MUTUAL"
    assert [warning.field for warning in warnings.problems] == ["spec.trafficPolicy.tls.mode"]


# ----------------------------------------------------------------------------------------------- Telemetry


def test_telemetry(read: Read) -> None:
    spec = """
  selector: {matchLabels: {app: backend}}
  tracing:
  - match: {mode: CLIENT}
    providers: [{name: jaeger}]
    randomSamplingPercentage: 0.5
    disableSpanReporting: true
    disableContextPropagation: false
    useRequestIdForTraceSampling: false
    enableIstioTags: false
    customTags:
      env: {literal: {value: workshop}}
      agent: {header: {name: user-agent, defaultValue: none}}
      host: {environment: {name: HOSTNAME}}
"""
    (found,) = read(manifest("Telemetry", spec, "telemetry")).of(kinds.Telemetry)
    assert found.selector == {"app": "backend"}
    assert found.tracing == (
        kinds.Tracing(
            providers=("jaeger",),
            random_sampling_percentage=0.5,
            disable_span_reporting=True,
            disable_context_propagation=False,
            use_request_id_for_trace_sampling=False,
            enable_istio_tags=False,
            custom_tags=(
                kinds.CustomTag("env", "literal", "workshop"),
                kinds.CustomTag("agent", "header", "user-agent", "none"),
                kinds.CustomTag("host", "environment", "HOSTNAME"),
            ),
            mode="CLIENT",
        ),
    )


def test_what_a_telemetry_does_not_say_stays_unsaid(read: Read) -> None:
    (found,) = read(manifest("Telemetry", "{tracing: [{}]}", "telemetry", "v1alpha1")).of(kinds.Telemetry)
    assert found.tracing == (kinds.Tracing(),)


@pytest.mark.parametrize(
    ("tracing", "part", "right"),
    [
        ("randomSamplingPercentage: 101", "out of range, allowed: 0.0 to 100.0", "randomSamplingPercentage: 100"),
        ("randomSamplingPercentage: '10'", "must be a number, not the string", "randomSamplingPercentage: 10"),
        ("randomSampling: 10", "did you mean 'randomSamplingPercentage'?", "randomSamplingPercentage: 0"),
        ("providers: [jaeger]", "must be a mapping", "providers: [{name: jaeger}]"),
        ("match: {mode: BOTH}", "is not one of", "match: {mode: SERVER}"),
        ("customTags: {a: {}}", "needs one of literal", "customTags: {a: {literal: {value: b}}}"),
        ("customTags: {a: {literal: {value: 1}}}", "must be a string", "customTags: {a: {literal: {value: '1'}}}"),
        (
            "customTags: {a: {formatter: {value: b}, literal: {value: b}}}",
            "only one of literal, formatter",
            "customTags: {a: {formatter: {value: '%PATH(NQ)%'}}}",
        ),
        ("disableSpanReporting: 'true'", "must be true or false", "disableSpanReporting: true"),
    ],
)
def test_telemetry_mistakes(read: Read, refuse: Refuse, tracing: str, part: str, right: str) -> None:
    spec = "{{tracing: [{{{}}}]}}"
    assert any(part in str(problem) for problem in refuse(manifest("Telemetry", spec.format(tracing), "telemetry")))
    read(manifest("Telemetry", spec.format(right), "telemetry"))


def test_only_the_first_provider_counts_and_a_warning_says_so(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.yaml"
    path.write_text(manifest("Telemetry", "{tracing: [{providers: [{name: a}, {name: b}]}]}", "telemetry"))
    warnings = Warnings()
    (found,) = load([path], warnings=warnings).of(kinds.Telemetry)
    assert found.tracing[0].providers == ("a", "b")
    assert [warning.field for warning in warnings.problems] == ["spec.tracing[0].providers"]


# --------------------------------------------------------------------------------------------- EnvoyFilter


def envoy_filter(match: str, operation: str = "MERGE", value: str = "{tracing: {}}", to: str = "HTTP_ROUTE") -> str:
    patch = f"{{applyTo: {to}, match: {match}, patch: {{operation: {operation}, value: {value}}}}}"
    return manifest("EnvoyFilter", f"{{configPatches: [{patch}]}}", version="v1alpha3")


def test_envoy_filter(read: Read) -> None:
    match = "{context: GATEWAY, routeConfiguration: {portNumber: 80, vhost: {name: 'v:80', route: {name: health}}}}"
    value = "{tracing: {overall_sampling: {numerator: 0}}}"
    (found,) = read(envoy_filter(match, value=value)).of(kinds.EnvoyFilter)
    assert found.patches == (
        kinds.RoutePatch(
            operation="MERGE",
            context="GATEWAY",
            value={"tracing": {"overall_sampling": {"numerator": 0}}},
            route_name="health",
            vhost_name="v:80",
            port=80,
            field="spec.configPatches[0]",
        ),
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (envoy_filter("{}", to="CLUSTER"), "applyTo CLUSTER is not carried out"),
        (envoy_filter("{}", to="ROUTE"), "is not one of"),
        (envoy_filter("{}", "REMOVE"), "operation REMOVE is not carried out"),
        (envoy_filter("{}", "merge"), "is not one of"),
        (envoy_filter("{context: GATEWY}"), "did you mean 'GATEWAY'?"),
        (envoy_filter("{listener: {}}"), "match a routeConfiguration"),
        (envoy_filter("{routeConfiguration: {vhost: {rout: {}}}}"), "did you mean 'route'?"),
        (envoy_filter("{}", value="[]"), "a part of an Envoy route"),
        (envoy_filter("{}", value="{tracin: {}}"), "an Envoy route has no field 'tracin'"),
    ],
)
def test_envoy_filter_mistakes(read: Read, refuse: Refuse, text: str, part: str) -> None:
    assert any(part in str(problem) for problem in refuse(text))
    read(envoy_filter("{}"))
