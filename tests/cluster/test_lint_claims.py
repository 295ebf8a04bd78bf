"""What the lint says happens does happen: the faults on a real mesh, and the lint's words about the same objects."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml
from tests.cluster.support import Application, Object, deployed, shape
from tests.support.mesh import ROOT, eventually

from meshtrail.lint.run import Report, lint
from meshtrail.reading.jaeger import JaegerClient

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: meshtrail}
spec: {egress: [{hosts: ["./*"]}]}
"""


def faulty(objects: list[Object]) -> list[Object]:
    """three-tier with a port of backend that says nothing, database without `app`, frontend's probes not rewritten."""
    # Under STRICT mutual TLS these probes fail, and the pod is never ready.
    found = [json.loads(json.dumps(one)) for one in objects if one["kind"] != "PeerAuthentication"]
    for one in found:
        kind, name, spec = one["kind"], one["metadata"]["name"], one.get("spec", {})
        if (kind, name) == ("Service", "backend"):
            spec["ports"][0]["name"] = "web"
        elif (kind, name) == ("Service", "database"):
            spec["selector"] = {"app.kubernetes.io/name": "database"}
        elif (kind, name) == ("Deployment", "database"):
            one["metadata"]["name"] = "store"
            spec["selector"]["matchLabels"] = {"app.kubernetes.io/name": "database"}
            del spec["template"]["metadata"]["labels"]["app"]
        elif (kind, name) == ("Deployment", "frontend"):
            metadata = spec["template"]["metadata"]
            metadata.setdefault("annotations", {})["sidecar.istio.io/rewriteAppHTTPProbers"] = "false"
    return found


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    """What the test deploys, as the lint reads it."""
    return []


@pytest.fixture(scope="module")
def application(objects: list[Object]) -> Iterator[Application]:
    def change(built: list[Object]) -> list[Object]:
        objects.extend(faulty(built))
        return faulty(built)

    with deployed("k8s/overlays/dev", change=change) as found:
        yield found


def said(objects: list[Object], *more: str) -> Report:
    text = "---\n".join((yaml.safe_dump_all(objects), *more))
    return lint(["-", str(ROOT / "istio/install/demo.yaml"), str(ROOT / "istio/mesh")], lambda: text)


def test_the_lint_names_the_three_faults(application: Application, objects: list[Object]) -> None:
    found = said(objects).findings
    assert {(one.rule, one.object) for one in found} == {
        ("port-protocol", "Service meshtrail/backend"),
        ("app-label", "Deployment meshtrail/store"),
        ("probes-not-rewritten", "Deployment meshtrail/frontend"),
    }


def test_a_port_that_says_nothing_has_no_server_span_and_without_app_the_workload_gives_the_name(
    application: Application, jaeger: str
) -> None:
    name = application.namespace
    expected = [
        (application.gateway, "server"),
        (application.gateway, "client"),
        (f"frontend.{name}", "server"),
        (f"frontend.{name}", "client"),
        (f"backend.{name}", "client"),
        (f"store.{name}", "server"),
    ]
    application.trace_when(jaeger, lambda trace: shape(trace) == expected)


def test_probes_that_are_not_rewritten_are_traces(application: Application, jaeger: str) -> None:
    def probed() -> bool:
        with JaegerClient(jaeger) as client:
            found = client.find(f"frontend.{application.namespace}", limit=50)
        return any("kube-probe" in str(span.tags) for trace in found for span in trace.spans)

    eventually(probed, within=30, what="a probe's trace")


def test_a_sidecar_that_hides_the_collector_takes_the_spans_away(
    application: Application, jaeger: str, objects: list[Object]
) -> None:
    (one,) = [found for found in said(objects, SIDECAR).findings if found.level == "error"]
    assert (one.rule, one.object) == ("sidecar-hides-collector", "Sidecar meshtrail/default")
    application.kubectl("apply", "-f", "-", input=SIDECAR.replace("meshtrail", application.namespace))
    gateway = [(application.gateway, "server"), (application.gateway, "client")]
    application.trace_when(jaeger, lambda trace: shape(trace) == gateway, within=90)
