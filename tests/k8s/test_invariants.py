"""What holds for every pod, Service and Secret, in every build: the habits of a cluster that others use too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.k8s.built import Build, Object, builds, workloads

pytestmark = pytest.mark.xdist_group("k8s")

# Its image is filled in by skaffold.
UNPINNED = {"k8s/verify"}
# Overlays for a mesh of one's own.
DEVELOPMENT = ("k8s/overlays/dev", "k8s/overlays/bookinfo")
# Names by which Istio tells a port's protocol.
PORT = re.compile(r"(http|http2|https|grpc|tcp|tls|udp)(-[a-z0-9-]+)?")
# OpenSearch's start script writes into the image's own folders: a keystore, its start options.
WRITABLE_ROOT = {"k8s/jaeger/opensearch: StatefulSet opensearch/opensearch"}


def containers() -> Iterator[tuple[str, Object, Object, Object]]:
    """Where it is, the object, the pod's spec and the container's, of every container there is."""
    for build in builds():
        for owner, pod in workloads(build):
            for container in [*pod.get("initContainers", []), *pod["containers"]]:
                yield (
                    f"{build.name}: {owner['kind']} {owner['metadata']['name']}/{container['name']}",
                    owner,
                    pod,
                    container,
                )


def test_every_container_keeps_to_the_restricted_standard() -> None:
    seen = 0
    for where, _, pod, container in containers():
        context = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
        assert context.get("runAsNonRoot") is True, where
        assert context.get("runAsUser", 0) > 0, where
        assert context.get("allowPrivilegeEscalation") is False, where
        assert context.get("readOnlyRootFilesystem") is True or where in WRITABLE_ROOT, where
        assert context.get("capabilities") == {"drop": ["ALL"]}, where
        assert context.get("seccompProfile") == {"type": "RuntimeDefault"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), where
        assert not any("hostPath" in volume for volume in pod.get("volumes", [])), where
        assert pod.get("automountServiceAccountToken") is False, where
        seen += 1
    assert seen > 50


def test_every_container_says_what_it_needs_and_has_a_limit_of_memory() -> None:
    for where, _, _, container in containers():
        resources = container.get("resources", {})
        assert resources.get("requests", {}).keys() >= {"cpu", "memory"}, where
        assert "memory" in resources.get("limits", {}), where


def test_every_image_is_pinned() -> None:
    for where, _, _, container in containers():
        if where.split(":")[0] not in UNPINNED:
            assert re.fullmatch(r"\S+:v?\d+(\.\d+)+[\w.-]*|\S+@sha256:[0-9a-f]{64}", container["image"]), where
            assert container.get("imagePullPolicy", "IfNotPresent") == "IfNotPresent", where


def test_everything_that_goes_on_running_is_probed() -> None:
    for where, owner, _, container in containers():
        if owner["kind"] in ("Deployment", "StatefulSet"):
            assert {"readinessProbe", "livenessProbe"} <= container.keys(), where


def test_every_service_is_inside_and_its_ports_say_their_protocol() -> None:
    for build in builds():
        services = [one for one in build.objects if one["kind"] == "Service"]
        # Services of single versions come with the routes to them, and select pods of the application's overlay.
        apart = build.name.startswith("istio/gateway-api/") and services
        pods = _build(f"k8s/overlays/{Path(build.name).name}") if apart else build
        templates = [
            one["spec"]["template"] for one in pods.objects if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet")
        ]
        for service in services:
            where = f"{build.name}: {service['metadata']['name']}"
            spec = service["spec"]
            assert spec.get("type", "ClusterIP") == "ClusterIP", where
            behind = [one for one in templates if spec["selector"].items() <= one["metadata"]["labels"].items()]
            assert behind, f"{where} selects no pod"
            for port in spec["ports"]:
                assert port.get("appProtocol") or PORT.fullmatch(port["name"]), f"{where}: {port['name']}"
                for template in behind:
                    assert port.get("targetPort", port["port"]) in _container_ports(template), (
                        f"{where}: {port['name']}"
                    )


def _container_ports(template: Object) -> set[str | int]:
    ports = [port for container in template["spec"]["containers"] for port in container.get("ports", [])]
    return {port["containerPort"] for port in ports} | {port["name"] for port in ports if "name" in port}


def test_no_secret_is_in_git_but_that_of_development() -> None:
    holding = {
        build.name
        for build in builds()
        for one in build.objects
        if one["kind"] == "Secret" and (one.get("data") or one.get("stringData"))
    }
    assert "k8s/overlays/dev-postgres" in holding
    assert [name for name in holding if not name.startswith(DEVELOPMENT)] == []


def test_language_and_form_come_in_any_order() -> None:
    one, other = _build("k8s/overlays/dev + polyglot + otel"), _build("k8s/overlays/dev + otel + polyglot")
    assert one.objects == other.objects
    images = {pod["containers"][0]["image"].partition(":")[0] for _, pod in workloads(one)}
    assert images == {f"meshtrail/{name}-otel" for name in ("frontend-node", "backend-python", "database-go")}


@pytest.mark.parametrize("overlay", ["staging", "staging-otel", "production", "production-otel"])
def test_an_overlay_for_others_has_no_switch_and_more_than_one_pod_of_each(overlay: str) -> None:
    build = _build(f"k8s/overlays/{overlay}")
    found = {(one["kind"], one["metadata"]["name"]): one for one in build.objects}
    least = {"staging": 2, "production": 3}[overlay.split("-")[0]]
    for service in ("frontend", "backend", "database"):
        deployment = found["Deployment", service]
        assert "replicas" not in deployment["spec"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert {"name": "PROPAGATION_CONTROL", "value": "off"} in container["env"]
        assert 8090 not in [port["containerPort"] for port in container["ports"]]
        assert ("-otel:" in container["image"]) == overlay.endswith("-otel")
        assert len(deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]) == 2
        assert found["HorizontalPodAutoscaler", service]["spec"]["minReplicas"] == least
        assert found["PodDisruptionBudget", service]["spec"]["maxUnavailable"] == 1
    assert {"StatefulSet", "NetworkPolicy", "AuthorizationPolicy", "PeerAuthentication"} <= {kind for kind, _ in found}


@pytest.mark.parametrize(("overlay", "percentage"), [("staging", 10), ("production", 1)])
def test_sampling_is_that_of_the_environment(overlay: str, percentage: float) -> None:
    for form in ("", "-otel"):
        (telemetry,) = [one for one in _build(f"k8s/overlays/{overlay}{form}").objects if one["kind"] == "Telemetry"]
        assert telemetry["metadata"] == {"name": "mesh-default", "namespace": "istio-system"}
        assert telemetry["spec"]["tracing"][0]["randomSamplingPercentage"] == percentage


@pytest.mark.parametrize(
    "overlay",
    [
        "dev",
        "dev-otel",
        "dev-postgres",
        "dev-polyglot-otel",
        "bookinfo",
        "bookinfo-otel-postgres",
        "helloworld-go",
        "staging",
        "production",
    ],
)
def test_workloads_are_the_overlay_without_its_routing(overlay: str) -> None:
    whole, part = _build(f"k8s/overlays/{overlay}"), _build(f"k8s/overlays/{overlay}/workloads")
    assert [one for one in whole.objects if "istio.io" not in one["apiVersion"]] == part.objects
    (namespace,) = [one for one in part.objects if one["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["istio-injection"] == "enabled"
    assert {one["metadata"].get("namespace") for one in part.objects} == {None, namespace["metadata"]["name"]}


def test_policies_let_through_exactly_the_chain_of_calls() -> None:
    """An edge counts when the caller may go out and the callee lets it in."""
    policies = [one["spec"] for one in _build("k8s/components/network-policy").objects]
    ways_out, ways_in = set(), set()
    for spec in policies:
        for rule in spec.get("egress", []):
            ways_out |= {(_who(spec), _who(peer), port["port"]) for peer in rule["to"] for port in rule["ports"]}
        for rule in spec.get("ingress", []):
            peers = rule.get("from", [{"podSelector": {}, "namespaceSelector": {}}])
            ways_in |= {(_who(peer), _who(spec), port["port"]) for peer in peers for port in rule["ports"]}
    inside = {
        ("gateway-name", "frontend", 3000),
        ("frontend", "backend", 8080),
        ("backend", "database", 8080),
        ("database", "postgres", 5432),
    }
    assert ways_out - inside == {
        ("any", "kube-system/any", 53),
        ("any", "istio-system/istiod", 15012),
        *(("any", "istio-system/any", port) for port in (4317, 4318, 9411)),
    }
    assert ways_in - inside == {
        ("istio-system,istio-ingress/ingressgateway,ingress", "frontend", 3000),
        ("any/any", "gateway-name", 80),
        ("any/any", "gateway-name", 15021),
    }
    assert inside <= ways_in & ways_out


def test_bookinfo_s_policies_let_in_exactly_its_calls() -> None:
    """The accounts are those that the callers run as, the paths those that they ask for."""
    accounts = {
        (dict(template["metadata"]["labels"])["app"], template["spec"]["serviceAccountName"])
        for one, _ in workloads(_build("k8s/overlays/bookinfo-postgres"))
        for template in [one["spec"]["template"]]
    }
    assert len(dict(accounts)) == len(accounts)
    app_of = {account: app for app, account in accounts}
    edges = set()
    for one in _build("istio/bookinfo/security").objects:
        for rule in one["spec"].get("rules", []):
            for source in rule["from"]:
                callers = {app_of.get(account, "gateway") for account in source["source"]["serviceAccounts"]}
                edges |= {(caller, one["spec"]["selector"]["matchLabels"]["app"]) for caller in callers}
    assert edges == {
        ("gateway", "productpage"),
        ("productpage", "details"),
        ("productpage", "reviews"),
        ("productpage", "ratings"),
        ("reviews", "ratings"),
        ("ratings", "postgres"),
    }
    routed = _build("istio/bookinfo").objects
    (page,) = [one for one in routed if one["kind"] == "VirtualService"]
    (policy,) = [one for one in _build("istio/bookinfo/security").objects if one["metadata"]["name"] == "productpage"]
    wanted = {
        path["uri"].get("exact") or path["uri"]["prefix"] for http in page["spec"]["http"] for path in http["match"]
    }
    allowed = policy["spec"]["rules"][0]["to"][0]["operation"]["paths"]
    assert {path.removesuffix("*").removesuffix("/") or "/" for path in allowed} == wanted


def _who(peer: Object) -> str:
    """The pods that a policy selects, or a peer of one."""
    pods = _selected(peer.get("podSelector", {}))
    return f"{_selected(peer['namespaceSelector'])}/{pods}" if "namespaceSelector" in peer else pods


def _selected(selector: Object) -> str:
    for one in selector.get("matchExpressions", []):
        return ",".join(one["values"]) if one["operator"] == "In" else one["key"].rpartition("/")[2]
    return ",".join(selector.get("matchLabels", {}).values()) or "any"


def _build(name: str) -> Build:
    return next(build for build in builds() if build.name == name)
