"""Envoy takes what is generated: feature by feature, and for any accepted VirtualService."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.envoy.support import TELEMETRY, proxies, validate, virtual_service

from meshtrail.errors import ManifestError

BACKEND = {"destination": {"host": "backend"}}
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: default}
spec:
  host: backend
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    connectionPool:
      tcp: {maxConnections: 5, connectTimeout: 250ms}
      http: {http1MaxPendingRequests: 3, http2MaxRequests: 7, maxRequestsPerConnection: 1, maxRetries: 2}
    outlierDetection: {consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 30s, maxEjectionPercent: 100}
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: user, ttl: 60s}}}}
"""
ROUTES: dict[str, dict[str, Any]] = {
    "uri": {"match": [{"uri": {"exact": "/a"}}, {"uri": {"prefix": "/b"}}, {"uri": {"regex": "/c/[0-9]+"}}]},
    "case": {"match": [{"uri": {"prefix": "/A"}, "ignoreUriCase": True}]},
    "headers": {
        "match": [
            {
                "headers": {
                    "end-user": {"exact": "jason"},
                    "x-any": {},
                    "x-p": {"prefix": "p"},
                    "x-r": {"regex": "r.*"},
                },
                "withoutHeaders": {"x-no": {}, "x-not": {"exact": "this"}},
            }
        ]
    },
    "method": {"match": [{"method": {"exact": "POST"}, "scheme": {"exact": "http"}}]},
    "query": {"match": [{"queryParams": {"v": {"exact": "1"}, "w": {"prefix": "x"}, "z": {"regex": "[a-z]+"}}}]},
    "authority": {"match": [{"authority": {"regex": "back.*"}}]},
    "weights": {
        "route": [
            {"destination": {"host": "backend", "subset": "v1"}, "weight": 90},
            {
                "destination": {"host": "backend", "subset": "v2"},
                "weight": 10,
                "headers": {"request": {"set": {"x-canary": "yes"}}, "response": {"remove": ["server"]}},
            },
        ]
    },
    "rewrite": {"match": [{"uri": {"prefix": "/a"}}], "rewrite": {"uri": "/b", "authority": "other"}},
    "rewrite-regex": {"rewrite": {"uriRegexRewrite": {"match": "/a/(.*)", "rewrite": "/b/\\1"}}},
    "redirect": {"route": None, "redirect": {"uri": "/b", "authority": "x.example", "redirectCode": 308, "port": 81}},
    "direct": {"route": None, "directResponse": {"status": 418, "body": {"string": "teapot"}}},
    "timeout": {"timeout": "1.5s", "retries": {"attempts": 3, "perTryTimeout": "500ms", "retryOn": "5xx,404"}},
    "no-retries": {"retries": {"attempts": 0}},
    "fault": {
        "fault": {
            "delay": {"fixedDelay": "10ms", "percentage": {"value": 0.1}},
            "abort": {"httpStatus": 555, "percentage": {"value": 50}},
        }
    },
    "header-operations": {
        "headers": {
            "request": {"set": {"a": "1", "host": "other"}, "add": {"b": "%REQ(x-request-id)%"}, "remove": ["c"]},
            "response": {"set": {"d": "1"}, "add": {"e": "2"}, "remove": ["f"]},
        }
    },
    "mirror": {"mirror": {"host": "database"}, "mirrorPercentage": {"value": 25}},
}


@pytest.mark.parametrize("feature", ROUTES)
def test_envoy_takes_each_route_feature(feature: str, tmp_path: Path) -> None:
    route = {key: value for key, value in {"route": [BACKEND], **ROUTES[feature]}.items() if value is not None}
    sidecar = proxies(tmp_path, SUBSETS, virtual_service([route, {"route": [BACKEND]}]))["frontend"]
    assert validate(sidecar, tmp_path) == ""


TELEMETRIES = {
    "otlp": "providers: [{name: jaeger}]",
    "b3": "providers: [{name: jaeger-b3}]",
    "b3-w3c": "providers: [{name: jaeger-b3-w3c}]",
    "sampled": "providers: [{name: jaeger}], randomSamplingPercentage: 0.01, useRequestIdForTraceSampling: false",
    "silent": "providers: [{name: jaeger}], disableSpanReporting: true",
    "no-propagation": "providers: [{name: jaeger}], disableContextPropagation: true",
    "tags": "providers: [{name: jaeger}], enableIstioTags: false, customTags: {a: {literal: {value: b}},"
    " c: {header: {name: x-c, defaultValue: d}}, e: {environment: {name: E}},"
    " f: {formatter: {value: '%PATH(NQ)%'}}}",
}


@pytest.mark.parametrize("case", TELEMETRIES)
def test_envoy_takes_each_telemetry(case: str, tmp_path: Path) -> None:
    telemetry = yaml.safe_load(TELEMETRY)
    telemetry["spec"]["tracing"] = [yaml.safe_load(f"{{{TELEMETRIES[case]}}}")]
    for proxy in proxies(tmp_path, yaml.safe_dump(telemetry)).values():
        assert validate(proxy, tmp_path) == ""


def test_envoy_refuses_what_is_wrong(tmp_path: Path) -> None:
    """The check itself can fail."""
    sidecar = proxies(tmp_path)["frontend"]
    sidecar.clusters[0]["no_such_field"] = 1
    assert "no_such_field" in validate(sidecar, tmp_path)


TOKENS = st.sampled_from(["a", "Z", "end-user", "x.y", "1", "caf\u00e9", "a b", "50%", "%REQ(x)%", '"', "'"])
PATHS = st.sampled_from(["/", "/a", "/a/b", "/%20", "/a?b", "/caf\u00e9", "//", "/a*"])
REGEXES = st.sampled_from([".*", "/a.*", "[a-z]+", "(a|b)", "\\d+", "a{1,3}", "^/x$"])
NAMES = st.sampled_from(["x-a", "end-user", "Cookie", "x_b", "content-type"])
MATCHERS = st.one_of(
    st.fixed_dictionaries({"exact": TOKENS}),
    st.fixed_dictionaries({"prefix": TOKENS}),
    st.fixed_dictionaries({"regex": REGEXES}),
)
URIS = st.one_of(
    st.fixed_dictionaries({"exact": PATHS}),
    st.fixed_dictionaries({"prefix": PATHS}),
    st.fixed_dictionaries({"regex": REGEXES}),
)
SECONDS = st.sampled_from(["1ms", "0.5s", "1s", "1m", "2h", "0s"])
PERCENTAGES = st.fixed_dictionaries({"value": st.sampled_from([0, 0.0001, 0.5, 33.3, 100])})
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "uri": URIS,
        "ignoreUriCase": st.booleans(),
        "method": MATCHERS,
        "authority": MATCHERS,
        "scheme": MATCHERS,
        "headers": st.dictionaries(NAMES, st.one_of(MATCHERS, st.just({})), max_size=3),
        "withoutHeaders": st.dictionaries(NAMES, st.one_of(MATCHERS, st.just({})), max_size=2),
        "queryParams": st.dictionaries(TOKENS, MATCHERS, max_size=2),
        "port": st.sampled_from([8080, 80]),
        "name": TOKENS,
    },
)
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "set": st.dictionaries(st.one_of(NAMES, st.just("host")), TOKENS, max_size=2),
        "add": st.dictionaries(NAMES, TOKENS, max_size=2),
        "remove": st.lists(NAMES, max_size=2),
    },
)
HEADERS = st.fixed_dictionaries({}, optional={"request": OPERATIONS, "response": OPERATIONS})
DESTINATIONS = st.fixed_dictionaries(
    {"host": st.sampled_from(["backend", "database", "backend.default.svc.cluster.local"])},
    optional={"port": st.just({"number": 8080})},
)
TARGETS = st.lists(
    st.fixed_dictionaries({"destination": DESTINATIONS, "weight": st.integers(1, 100)}, optional={"headers": HEADERS}),
    min_size=1,
    max_size=3,
)
COMMON = {
    "name": TOKENS,
    "match": st.lists(MATCHES, min_size=1, max_size=3),
    "headers": HEADERS,
    "fault": st.fixed_dictionaries(
        {"delay": st.fixed_dictionaries({"fixedDelay": SECONDS, "percentage": PERCENTAGES})},
        optional={
            "abort": st.fixed_dictionaries({"httpStatus": st.sampled_from([200, 503, 599]), "percentage": PERCENTAGES})
        },
    ),
}
FORWARDING = st.fixed_dictionaries(
    {"route": TARGETS},
    optional={
        **COMMON,
        "timeout": SECONDS,
        "retries": st.fixed_dictionaries(
            {"attempts": st.integers(0, 5)},
            optional={
                "perTryTimeout": SECONDS,
                "retryOn": st.sampled_from(["5xx", "gateway-error,503", "404", "connect-failure, reset"]),
            },
        ),
        "rewrite": st.one_of(
            st.fixed_dictionaries({"uri": PATHS}, optional={"authority": TOKENS}),
            st.fixed_dictionaries(
                {"uriRegexRewrite": st.fixed_dictionaries({"match": REGEXES, "rewrite": st.just("/x")})}
            ),
        ),
        "mirror": DESTINATIONS,
        "mirrorPercentage": PERCENTAGES,
    },
)
REDIRECTS = st.fixed_dictionaries(
    {
        "redirect": st.fixed_dictionaries(
            {"uri": PATHS},
            optional={
                "authority": TOKENS,
                "redirectCode": st.sampled_from([301, 302, 303, 307, 308]),
                "port": st.just(81),
                "scheme": st.sampled_from(["http", "https"]),
            },
        )
    },
    optional=COMMON,
)
DIRECT = st.fixed_dictionaries(
    {
        "directResponse": st.fixed_dictionaries(
            {"status": st.sampled_from([200, 204, 418, 599])},
            optional={"body": st.fixed_dictionaries({"string": TOKENS})},
        )
    },
    optional=COMMON,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(http=st.lists(st.one_of(FORWARDING, FORWARDING, REDIRECTS, DIRECT), min_size=1, max_size=4))
def test_envoy_takes_any_accepted_virtual_service(http: list[object]) -> None:
    """Either the manifests are refused with a reason, or every Envoy accepts what is generated from them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gateway = virtual_service(http, host="*", gateways=["frontend"])
        try:
            generated = proxies(folder, virtual_service(http), gateway)
        except ManifestError:
            return
        for proxy in ("frontend", "istio-ingressgateway"):
            assert validate(generated[proxy], folder) == ""
