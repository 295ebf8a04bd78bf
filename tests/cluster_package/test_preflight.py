"""Each rule of the preflight: a cluster on which it speaks, and a near miss on which it must not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.cluster_package.support import Cluster, container, deployment

from meshtrail.cluster.preflight.findings import Finding
from meshtrail.cluster.preflight.run import check


def complaints(cluster: Cluster, stage: Any = "deployed", **changed: Any) -> list[Finding]:
    return [finding for finding in check(cluster.snapshot(**changed), stage) if finding.level != "ok"]


def test_a_whole_application_passes() -> None:
    findings = check(Cluster().snapshot())
    assert [finding for finding in findings if finding.level != "ok"] == []
    assert list(dict.fromkeys(finding.check for finding in findings)) == [
        "kubernetes",
        "istio",
        "injection",
        "application",
        "sidecars",
        "ports",
        "propagation",
        "gateway",
        "routes",
        "provider",
        "sampling",
        "collector",
    ]


Change = Callable[[Cluster], Any]


def label(labels: dict[str, str] | None = None) -> Change:
    """The namespace's label for injection is replaced."""

    def change(cluster: Cluster) -> None:
        found = cluster.one("Namespace", "mt-e")["metadata"]["labels"]
        del found["istio-injection"]
        found.update(labels or {})

    return change


def bare(cluster: Cluster) -> None:
    """backend's pod has no sidecar."""
    pod = cluster.one("Pod", "backend")
    pod["spec"]["initContainers"] = []
    pod["status"]["initContainerStatuses"] = []


def bare_by_its_own_word(cluster: Cluster) -> None:
    bare(cluster)
    deployment(cluster, "backend")["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] = "false"


def classic_sidecar(cluster: Cluster) -> None:
    """As injected before native sidecars: a second container."""
    pod = cluster.one("Pod", "backend")
    proxy = next(one for one in pod["spec"]["initContainers"] if one["name"] == "istio-proxy")
    proxy.pop("restartPolicy")
    pod["spec"]["initContainers"].remove(proxy)
    pod["spec"]["containers"].append(proxy)
    status = next(one for one in pod["status"]["initContainerStatuses"] if one["name"] == "istio-proxy")
    pod["status"]["initContainerStatuses"].remove(status)
    pod["status"]["containerStatuses"].append(status)


def proxy_image(tag: str) -> Change:
    def change(cluster: Cluster) -> None:
        for one in cluster.one("Pod", "backend")["spec"]["initContainers"]:
            one["image"] = f"docker.io/istio/proxyv2:{tag}"

    return change


def istiod_image(tag: str) -> Change:
    def change(cluster: Cluster) -> None:
        istiod = cluster.one("Deployment", "istiod", "istio-system")
        istiod["spec"]["template"]["spec"]["containers"][0]["image"] = f"docker.io/istio/pilot:{tag}"

    return change


def unready(cluster: Cluster) -> None:
    cluster.one("Pod", "backend")["status"]["containerStatuses"][0]["ready"] = False


def rolling_out(cluster: Cluster) -> None:
    """The new pod is not ready, the old one still serves."""
    new = json.loads(json.dumps(cluster.one("Pod", "backend")))
    new["metadata"]["name"] = "backend-new"
    new["status"]["containerStatuses"][0]["ready"] = False
    cluster.add(new)


def crashing(cluster: Cluster) -> None:
    rolling_out(cluster)
    new = cluster.one("Pod", "backend-new")
    new["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}


def finished_pod(cluster: Cluster) -> None:
    """A pod that was evicted stays listed, and is nobody's concern."""
    old = {**cluster.one("Pod", "backend"), "status": {"phase": "Failed"}}
    old["metadata"] = {**old["metadata"], "name": "backend-evicted"}
    cluster.add(old)


def port(name: str, **more: str) -> Change:
    def change(cluster: Cluster) -> None:
        cluster.one("Service", "backend")["spec"]["ports"][0].update({"name": name, **more})

    return change


def postgres(cluster: Cluster) -> None:
    """A Service for TCP whose pods are not asked by HTTP."""
    service = {**cluster.one("Service", "backend"), "metadata": {"name": "postgres", "namespace": "mt-e"}}
    service["spec"] = {"selector": {"app": "postgres"}, "ports": [{"name": "tcp-postgres", "port": 5432}]}
    cluster.add(service)
    workload = {**deployment(cluster, "backend"), "kind": "StatefulSet", "metadata": {"name": "postgres"}}
    workload["metadata"]["namespace"] = "mt-e"
    template = {"metadata": {"labels": {"app": "postgres"}}, "spec": {"containers": [
        {"name": "postgres", "image": "postgres:17", "ports": [{"containerPort": 5432}],
         "readinessProbe": {"exec": {"command": ["pg_isready"]}}}]}}  # fmt: skip
    workload["spec"] = {"replicas": 0, "selector": {"matchLabels": {"app": "postgres"}}, "template": template}
    cluster.add(workload)
    ready = {**cluster.one("EndpointSlice", next(slice_names(cluster, "backend")))}
    ready["metadata"] = {**ready["metadata"], "name": "p", "labels": {"kubernetes.io/service-name": "postgres"}}
    cluster.add(ready)


def slice_names(cluster: Cluster, service: str) -> Any:
    for item in cluster.items:
        if item["kind"] == "EndpointSlice" and item["metadata"]["name"].startswith(f"{service}-"):
            yield item["metadata"]["name"]


def no_endpoints(service: str, namespace: str = "mt-e") -> Change:
    def change(cluster: Cluster) -> None:
        for name in slice_names(cluster, service):
            cluster.one("EndpointSlice", name, namespace)["endpoints"] = []

    return change


def propagation(mode: str) -> Change:
    def change(cluster: Cluster) -> None:
        next(one for one in container(cluster, "backend")["env"] if one["name"] == "PROPAGATION")["value"] = mode

    return change


def gateway_name(name: str) -> Change:
    def change(cluster: Cluster) -> None:
        cluster.one("VirtualService", "frontend")["spec"]["gateways"] = [name]

    return change


def gateway_selector(cluster: Cluster) -> None:
    cluster.one("Gateway", "three-tier")["spec"]["selector"] = {"istio": "ingress"}


def gateway_port(number: int, protocol: str = "HTTP") -> Change:
    def change(cluster: Cluster) -> None:
        cluster.one("Gateway", "three-tier")["spec"]["servers"][0]["port"].update(number=number, protocol=protocol)

    return change


def destination(**changed: Any) -> Change:
    def change(cluster: Cluster) -> None:
        cluster.one("VirtualService", "backend")["spec"]["http"][0]["route"][0]["destination"].update(changed)

    return change


def mesh_telemetry(**changed: Any) -> Change:
    def change(cluster: Cluster) -> None:
        cluster.one("Telemetry", "mesh-default", "istio-system")["spec"]["tracing"][0].update(changed)

    return change


def no_telemetry(cluster: Cluster) -> None:
    cluster.drop(lambda item: item["kind"] == "Telemetry")


def default_provider(cluster: Cluster) -> None:
    no_telemetry(cluster)
    cluster.mesh["defaultProviders"] = {"tracing": ["jaeger"]}


def nothing_says_a_figure(cluster: Cluster) -> None:
    """As a production profile: a provider, and nobody says how much."""
    cluster.one("Telemetry", "mesh-default", "istio-system")["spec"]["tracing"][0].pop("randomSamplingPercentage")
    istiod = cluster.one("Deployment", "istiod", "istio-system")["spec"]["template"]["spec"]["containers"][0]
    istiod["env"] = [one for one in istiod["env"] if one["name"] != "PILOT_TRACE_SAMPLING"]


def demo_profile_says_it(cluster: Cluster) -> None:
    cluster.one("Telemetry", "mesh-default", "istio-system")["spec"]["tracing"][0].pop("randomSamplingPercentage")


def telemetry(namespace: str = "mt-e", selector: dict[str, str] | None = None, **tracing: Any) -> Change:
    def change(cluster: Cluster) -> None:
        added = cluster.telemetry("other", namespace, **tracing)
        if selector:
            added["spec"]["selector"] = {"matchLabels": selector}

    return change


def collector_port(name: str, **more: str) -> Change:
    def change(cluster: Cluster) -> None:
        ports = cluster.one("Service", "jaeger-collector", "istio-system")["spec"]["ports"]
        entry = next(one for one in ports if one["port"] == 4317)
        entry.pop("appProtocol", None)
        entry.update({"name": name, **more})

    return change


def provider(**changed: Any) -> Change:
    def change(cluster: Cluster) -> None:
        cluster.mesh["extensionProviders"][0]["opentelemetry"].update(changed)

    return change


def drop(kind: str, name: str) -> Change:
    return lambda cluster: cluster.drop(lambda item: item["kind"] == kind and item["metadata"]["name"] == name)


FAULTS: list[tuple[str, Change, str, str, tuple[str, ...]]] = [
    # what it is, the change, the check, its level, words of what was seen and of its mend
    ("istiod gone", drop("Deployment", "istiod"), "istio", "fail", ("no Istio", "istioctl install -f")),
    ("istiod old", istiod_image("1.20.3"), "istio", "fail", ("1.20.3 is too old",)),
    ("no label", label(), "injection", "fail", ("no label", "kubectl label namespace mt-e istio-injection=enabled")),
    ("disabled", label({"istio-injection": "disabled"}), "injection", "fail", ("istio-injection=disabled",)),
    ("no such revision", label({"istio.io/rev": "canary"}), "injection", "fail", ("no such revision", "istioctl tag")),
    ("ambient", label({"istio.io/dataplane-mode": "ambient"}), "injection", "warn", ("ambient",)),
    ("no namespace", drop("Namespace", "mt-e"), "injection", "fail", ("no namespace mt-e", "k8s/overlays/dev")),
    ("pod not ready", unready, "application", "fail", ("backend-", "1/2", "kubectl -n mt-e describe pod backend-")),
    ("rollout", rolling_out, "application", "warn", ("being rolled out: backend-new 1/2", "rollout status")),
    ("stuck rollout", crashing, "application", "fail", ("backend-new 1/2 CrashLoopBackOff", "describe pod")),
    ("pod without sidecar", bare, "sidecars", "fail", ("backend: pods without", "rollout restart deployment backend")),
    ("sidecar forbidden", bare_by_its_own_word, "sidecars", "fail", ('is "false"', "take the label")),
    ("sidecar old", proxy_image("1.25.1"), "sidecars", "warn", ("sidecar 1.25", "rollout restart deployment backend")),
    ("tcp port", port("tcp-http"), "ports", "fail", ("backend: port 8080", "tcp-http", "patch service")),
    ("appProtocol", port("http", appProtocol="tcp"), "ports", "fail", ("appProtocol tcp",)),
    ("unnamed port", port(""), "ports", "warn", ("has no name: Istio has to guess",)),
    ("own port name", port("web"), "ports", "warn", ("named 'web': Istio has to guess",)),
    ("no pod behind", no_endpoints("backend"), "services", "fail", ("no ready pod behind backend",)),
    ("none", propagation("none"), "propagation", "warn", ("PROPAGATION=none", "set env deployment/backend")),
    ("w3c", propagation("w3c"), "propagation", "warn", ("B3 (Zipkin)",)),
    ("no gateway", gateway_name("nope"), "gateway", "fail", ("Gateway mt-e/nope, which does not", "mt-e/three-tier")),
    ("selector", gateway_selector, "gateway", "fail", ("selects istio=ingress", "istioctl install")),
    ("gateway port", gateway_port(8888), "gateway", "fail", ("listens on 8888",)),
    ("HTTPS alone", gateway_port(443, "HTTPS"), "gateway", "warn", ("no plain HTTP",)),
    ("no route", drop("VirtualService", "frontend"), "gateway", "fail", ("no way in", "istio/three-tier")),
    ("no destination", destination(host="bakend"), "routes", "fail", ("mt-e/bakend, which does not exist",)),
    ("no such port", destination(port={"number": 9}), "routes", "fail", ("port 9 of mt-e/backend", "there are: 8080")),
    ("nothing traced", no_telemetry, "provider", "fail", ("no Telemetry names", "kubectl apply -k istio/mesh")),
    ("unknown provider", mesh_telemetry(providers=[{"name": "jeager"}]), "provider", "fail",
     ("names provider 'jeager'", "gateway istio-system", "name one of jaeger")),
    ("unknown in namespace", telemetry(providers=[{"name": "zipkn"}]), "provider", "fail",
     ("Telemetry mt-e/other names provider 'zipkn'", "no spans from backend, database, frontend")),
    ("unknown at workload", telemetry(selector={"app": "backend"}, providers=[{"name": "x"}]), "provider", "fail",
     ("no spans from backend",)),
    ("spans off", telemetry(disableSpanReporting=True), "provider", "fail", ("disableSpanReporting", "backend")),
    ("two providers", telemetry(providers=[{"name": "jaeger-b3"}]), "provider", "warn", ("not one provider",)),
    ("two for one scope", telemetry("istio-system"), "provider", "warn", ("ignores Telemetry istio-system/other",)),
    ("gateway at 0", mesh_telemetry(randomSamplingPercentage=0), "sampling", "fail", ("samples 0 %", "edit")),
    ("namespace at 0", telemetry(randomSamplingPercentage=0), "sampling", "warn", ("backend, database, frontend: 0",)),
    ("default", nothing_says_a_figure, "sampling", "warn", ("samples 1 %", "own default", "one request in 100")),
    ("10 %", mesh_telemetry(randomSamplingPercentage=10), "sampling", "warn", ("10 %", "send 50 requests")),
    ("no collector", drop("Service", "jaeger-collector"), "collector", "fail", ("no such Service", "k8s/jaeger")),
    ("collector's port", provider(port=4319), "collector", "fail", ("no port 4319 but", "4317")),
    ("collector is down", no_endpoints("jaeger-collector", "istio-system"), "collector", "fail", ("is ready",)),
    ("collector's port name", collector_port("otlp"), "collector", "fail", ("OTLP over gRPC", "grpc-otlp")),
    ("collector elsewhere", provider(service="jaeger.example.com"), "collector", "warn", ("jaeger.example.com:4317",)),
]  # fmt: skip

NEAR_MISSES: list[tuple[str, Change]] = [
    ("istiod of the oldest version", istiod_image("1.27.0-distroless")),
    ("label by revision", label({"istio.io/rev": "default"})),
    ("a sidecar as a second container", classic_sidecar),
    ("an evicted pod", finished_pod),
    ("a sidecar two minors behind", proxy_image("1.27.9")),
    ("http-web", port("http-web")),
    ("http2", port("http2")),
    ("any name with an appProtocol", port("web", appProtocol="http")),
    ("the gateway by its namespace", gateway_name("mt-e/three-tier")),
    ("the container's port of the gateway, as Bookinfo has it", gateway_port(8080)),
    ("the whole name of a Service", destination(host="backend.mt-e.svc.cluster.local", port={"number": 8080})),
    ("a Service outside of the cluster", destination(host="api.example.com")),
    ("the mesh's default provider", default_provider),
    ("the demo profile's sampling", demo_profile_says_it),
    ("sampling in the mesh configuration", mesh_telemetry(randomSamplingPercentage=100.0)),
    ("the same provider again", telemetry(providers=[{"name": "jaeger"}])),
    ("tags for the namespace", telemetry(customTags={"a": {"literal": {"value": "b"}}})),
    ("tracing of the server side alone", telemetry(match={"mode": "SERVER"}, disableSpanReporting=True)),
    ("Telemetry for another workload", telemetry(selector={"app": "other"}, randomSamplingPercentage=0)),
    ("a collector named by appProtocol", collector_port("otlp", appProtocol="grpc")),
    ("a provider that nobody uses", lambda cluster: cluster.mesh["extensionProviders"].append({"name": "x", "y": {}})),
]  # fmt: skip


@pytest.mark.parametrize(("change", "rule", "level", "words"), [pytest.param(*one[1:], id=one[0]) for one in FAULTS])
def test_a_fault_is_named(change: Change, rule: str, level: str, words: tuple[str, ...]) -> None:
    cluster = Cluster()
    change(cluster)
    found = [one for one in complaints(cluster) if (one.check, one.level) == (rule, level)]
    texts = [f"{one.seen}\n{one.mend}" for one in found]
    assert any(all(word in text for word in words) for text in texts), complaints(cluster)
    assert all(one.mend for one in found)


@pytest.mark.parametrize("change", [pytest.param(one[1], id=one[0]) for one in NEAR_MISSES])
def test_a_near_miss_is_not(change: Change) -> None:
    cluster = Cluster()
    change(cluster)
    assert complaints(cluster) == []


def test_a_database_that_speaks_tcp_is_not_taken_for_http() -> None:
    cluster = Cluster()
    postgres(cluster)
    assert [one.check for one in complaints(cluster)] == ["application"]  # it is scaled to 0 here


def test_an_old_kubernetes_is_named() -> None:
    assert "too old" in complaints(Cluster(), version="v1.24.3")[0].seen
    assert complaints(Cluster(), version="v1.29.0-gke.5") == []


def test_what_follows_from_a_missing_istio_is_not_said_again() -> None:
    cluster = Cluster()
    drop("Deployment", "istiod")(cluster)
    no_telemetry(cluster)
    assert [one.check for one in complaints(cluster)] == ["istio"]


def test_before_the_deployment_only_what_must_be_there_counts() -> None:
    cluster = Cluster()
    cluster.drop(lambda item: item["metadata"].get("namespace") == "mt-e" or item["metadata"]["name"] == "mt-e")
    assert complaints(cluster, "before-deploy") == []
    assert "application" in {one.check for one in complaints(cluster)}


def test_before_the_deployment_a_missing_label_is_a_warning_that_names_it() -> None:
    cluster = Cluster()
    label()(cluster)
    (finding,) = complaints(cluster, "before-deploy")
    assert (finding.check, finding.level) == ("injection", "warn")
    assert "kubectl label namespace mt-e istio-injection=enabled" in finding.mend


def test_before_the_deployment_a_missing_istio_fails() -> None:
    cluster = Cluster()
    drop("Deployment", "istiod")(cluster)
    (finding,) = complaints(cluster, "before-deploy")
    assert (finding.check, finding.level) == ("istio", "fail")
    assert finding.mend == "istioctl install -f istio/install/demo.yaml"


def test_before_the_deployment_missing_tracing_is_a_warning() -> None:
    # The overlays for staging and production bring it.
    cluster = Cluster()
    no_telemetry(cluster)
    assert {one.level for one in complaints(cluster, "before-deploy")} == {"warn"}


def test_what_may_not_be_looked_at_is_said() -> None:
    cluster = Cluster()
    no_telemetry(cluster)
    cluster.drop(lambda item: item["kind"] == "Namespace")
    found = complaints(cluster, forbidden=("telemetries.telemetry.istio.io", "namespaces"))
    assert {(one.check, one.level) for one in found if "may not look" in one.seen} == {
        ("injection", "warn"),
        ("provider", "warn"),
    }
