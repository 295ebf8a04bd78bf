"""Manifests in the shape of other projects': nothing to mend as they are, and each planted fault found on its line."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.lint.support import ROOT

from meshtrail.lint.run import lint

SETS = ROOT / "tests/lint/sets"


HTTP = """"opentelemetrycollector:4317"  # x
            - name: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL
              value: http/protobuf"""
LOGS = """---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: logs, namespace: istio-system}
spec: {accessLogging: [{}]}
---
# Source: istiod"""


@dataclass(frozen=True)
class Fault:
    """`old` becomes `new` at its first place behind `after`; the rule reports the line of `at`, or of `new`."""

    set: str
    rule: str
    old: str
    new: str
    after: str = ""
    at: str = ""
    everywhere: bool = False

    def __str__(self) -> str:
        return f"{self.set}-{self.rule}-{' '.join(self.new.split())[:24]}"


FAULTS = [
    Fault("bookinfo", "route-host", "host: productpage", "host: productpages", "name: bookinfo\n"),
    Fault("bookinfo", "route-host", "number: 9080", "number: 9090", "host: productpage"),
    Fault("bookinfo", "route-subset", "subset: v3", "subset: v4"),
    Fault("bookinfo", "route-subset", "version: v3", "version: v33", "kind: DestinationRule", "subset: v3"),
    Fault("bookinfo", "port-protocol", "name: http\n", "name: web\n", "name: ratings"),
    Fault(
        "bookinfo",
        "gateway-selector",
        "istio: ingressgateway # use istio default controller",
        "istio: ingresgateway",
        at="selector:\n    istio: ingresgateway",
    ),
    Fault("bookinfo", "health-route-traced", "exact: /productpage", "exact: /healthz"),
    Fault(
        "bookinfo",
        "header-removal",
        "    - route:\n",
        "    - headers: {request: {remove: [traceparent]}}\n      route:\n",
        "subset: v2",
        "headers: {request",
    ),
    Fault(
        "online-boutique",
        "port-protocol",
        "- name: grpc",
        "- name: server",
        "app: cartservice\nspec:\n  type",
    ),
    Fault(
        "online-boutique",
        "port-mismatch",
        "- name: grpc",
        "- name: tcp",
        "app: adservice\nspec:\n  type",
    ),
    Fault("online-boutique", "port-mismatch", "name: tcp-redis", "name: http-redis"),
    Fault("online-boutique", "injection-missing", "istio-injection: enabled", "istio-injection: enable"),
    Fault(
        "online-boutique",
        "injection-opted-out",
        "        app: frontend\n      annotations",
        '        app: frontend\n        sidecar.istio.io/inject: "false"\n      annotations',
        at='sidecar.istio.io/inject: "false"\n      annotations',
    ),
    Fault(
        "online-boutique",
        "app-label",
        "app: emailservice\n",
        "app.kubernetes.io/name: emailservice\n",
        at="labels:\n        app.kubernetes.io/name",
        everywhere=True,
    ),
    Fault(
        "online-boutique",
        "host-network",
        "      terminationGracePeriodSeconds: 5\n",
        "      hostNetwork: true\n",
        "serviceAccountName: adservice",
    ),
    Fault(
        "online-boutique",
        "exporter-endpoint",
        '"http://opentelemetrycollector:4317"',
        '"http://opentelemetrycollector:4318"',
    ),
    Fault(
        "online-boutique",
        "exporter-endpoint",
        '"http://opentelemetrycollector:4317"',
        '"http://opentelemetry-collector:4317"',
        "name: checkoutservice",
    ),
    Fault(
        "online-boutique",
        "exporter-endpoint",
        '"http://opentelemetrycollector:4317"',
        HTTP,
        "name: OTEL_EXPORTER_OTLP_ENDPOINT",
        '"opentelemetrycollector:4317"  # x',
    ),
    Fault(
        "online-boutique",
        "otel-variable",
        "name: OTEL_EXPORTER_OTLP_PROTOCOL",
        "name: OTEL_EXPORTER_OLTP_PROTOCOL",
        "name: shippingservice",
    ),
    Fault(
        "online-boutique",
        "exporter-none",
        'name: OTEL_SERVICE_NAME\n              value: "adservice"',
        'name: OTEL_TRACES_EXPORTER\n              value: "none"',
        at='value: "none"',
    ),
    Fault(
        "online-boutique",
        "sampler",
        'name: OTEL_SERVICE_NAME\n              value: "adservice"',
        'name: OTEL_TRACES_SAMPLER\n              value: "traceidratio"',
        at='value: "traceidratio"',
    ),
    Fault("online-boutique", "traffic-excluded", 'excludeOutboundPorts: "4317"', 'excludeOutboundPorts: "4317,7070"'),
    Fault(
        "online-boutique",
        "probes-not-rewritten",
        "      annotations:\n        traffic",
        '      annotations:\n        sidecar.istio.io/rewriteAppHTTPProbers: "false"\n        traffic',
        "app: frontend\nspec:\n  selector",
        'rewriteAppHTTPProbers: "false"',
    ),
    Fault(
        "online-boutique",
        "route-host",
        '"frontend.boutique.svc.cluster.local"',
        '"frontnd.boutique.svc.cluster.local"',
        at='hosts:\n    - "frontnd',
    ),
    Fault("online-boutique", "route-host", "- name: frontend\n", "- name: frontends\n", "backendRefs"),
    Fault("otel-collector", "provider-service", "appProtocol: grpc", "appProtocol: http"),
    Fault(
        "otel-collector",
        "provider-service",
        "port: 4317\n    rootNamespace",
        "port: 4319\n    rootNamespace",
        at="port: 4319",
    ),
    Fault(
        "otel-collector",
        "provider-service",
        "otel-opentelemetry-collector.observability.svc.cluster.local",
        "otel-opentelemetry-collector.observability",
    ),
    Fault(
        "otel-collector",
        "provider-service",
        "otel-opentelemetry-collector.observability.svc",
        "opentelemetry-collector.observability.svc",
    ),
    Fault("otel-collector", "unknown-provider", "- name: otel\n", "- name: otle\n", "kind: Telemetry"),
    Fault(
        "otel-collector",
        "several-providers",
        "- name: otel\n",
        "- name: otel\n        - name: otel # too\n",
        "kind: Telemetry",
        "- name: otel # too",
    ),
    Fault("otel-collector", "sampling-zero", "sampling: 5", "sampling: 0"),
    Fault(
        "otel-collector",
        "sampling-default",
        "      tracing:\n        sampling: 5\n",
        "",
        at="providers:\n        - name: otel\n",
    ),
    Fault(
        "otel-collector",
        "telemetry-competes",
        "---\n# Source: istiod",
        LOGS,
        at="name: mesh-default",
    ),
    Fault(
        "otel-collector",
        "tracing-disabled",
        "    - providers:\n",
        "    - disableSpanReporting: true\n      providers:\n",
        at="disableSpanReporting",
    ),
    Fault(
        "jaeger-helm",
        "provider-service",
        "- name: zipkin\n      port: 9411\n      targetPort",
        "- name: grpc-zipkin\n      port: 9411\n      targetPort",
        at="- name: grpc-zipkin",
    ),
    Fault("jaeger-helm", "unknown-provider", "- name: jaeger\n", "- name: jager\n", "kind: Telemetry"),
    Fault("jaeger-helm", "sampling-zero", "traceSampling: 10", "traceSampling: 0"),
]


@pytest.mark.parametrize("name", sorted(path.stem for path in SETS.iterdir()))
def test_as_they_are_nothing_is_to_mend(name: str) -> None:
    report = lint([str(SETS / f"{name}.yaml")])
    assert report.problems == ()
    assert [one for one in report.findings if one.level != "note"] == []
    # Nor is much noted, which would be noise.
    assert len(report.findings) <= 2


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_on_its_line(fault: Fault) -> None:
    text = (SETS / f"{fault.set}.yaml").read_text()
    start = text.index(fault.after) if fault.after else 0
    place = text.index(fault.old, start)
    broken = text[:place] + fault.new + text[place + len(fault.old) :]
    if fault.everywhere:
        broken = text.replace(fault.old, fault.new)
    wanted = broken.index(fault.at, start) if fault.at else place
    line = broken.count("\n", 0, wanted) + 1

    report = lint(["-"], lambda: broken)

    assert report.problems == ()
    seen = [(one.rule, one.line) for one in report.findings]
    assert (fault.rule, line) in seen
    # One fault, one rule: nothing else is accused for it.
    assert {one.rule for one in report.findings if one.level != "note"} <= {fault.rule}
