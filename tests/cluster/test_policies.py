"""Network policies: what is not allowed finds no connection, what is needed works; and what pods may do at all."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.cluster.conftest import STAGING
from tests.cluster.support import Application, Object, apply, build, get, kubectl, namespace, relocate, run
from tests.support.absent import absent
from tests.support.mesh import eventually

pytestmark = pytest.mark.cluster

PORTS = {"frontend": 3000, "backend": 8080, "database": 8080, "postgres": 5432}

# Whether a connection to each address comes about, in order. Refused or dropped: that is the plugin's choice.
CONNECT = """
import socket, sys
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        print("connected")
    except OSError:
        print("refused")
"""
# The status of a request; its sidecar takes every connection, so that of the connection says nothing.
ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def stranger(staging: Application) -> Iterator[str]:
    """The namespace of a pod without a sidecar, that bears the labels of every caller that the policies let in."""
    image = get("deployment", "frontend", "-n", staging.namespace)["spec"]["template"]["spec"]["containers"][0]["image"]
    with namespace("mt-stranger", **{"istio-injection": "disabled"}) as name:
        pods = [_idle(name, app, image) for app in ("frontend", "backend", "database")]
        apply(*pods)
        kubectl("-n", name, "wait", "--for=condition=Ready", "pods", "--all", "--timeout=60s", timeout=70)
        yield name


def _idle(namespace: str, app: str, image: str) -> Object:
    command = ["python", "-c", "import threading; threading.Event().wait()"]
    container = {"name": "idle", "image": image, "imagePullPolicy": "IfNotPresent", "command": command}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": app, "namespace": namespace, "labels": {"app": app, "istio": "ingressgateway"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False},
    }


def _addresses(staging: Application) -> dict[str, str]:
    """IP and port of one pod of each service."""
    pods = get("pods", "-n", staging.namespace, "-l", "app")["items"]
    ready = {pod["metadata"]["labels"]["app"]: pod["status"]["podIP"] for pod in pods}
    return {service: f"{ready[service]}:{port}" for service, port in PORTS.items()}


def _connections(stranger: str, pod: str, *addresses: str) -> list[str]:
    return kubectl("-n", stranger, "exec", pod, "--", "python", "-c", CONNECT, *addresses).split()


def _ask(staging: Application, service: str, url: str) -> str:
    """The status that `service` gets from `url`, through its sidecar."""
    return staging.kubectl("exec", f"deploy/{service}", "-c", service, "--", "python", "-c", ASK, url).strip()


def test_what_is_needed_works(staging: Application, jaeger: str) -> None:
    """Gateway to PostgreSQL, names, certificates, spans: a whole trace has been through all of it."""
    trace = staging.trace(jaeger)
    assert len(trace.spans) == 7
    assert staging.get().json()["backend_data"]["database_data"]["records"] == 42


def test_another_namespace_gets_no_connection_whatever_its_labels(staging: Application, stranger: str) -> None:
    addresses = _addresses(staging)
    # The API server: this pod can connect, to what nobody forbids.
    allowed = "kubernetes.default.svc:443"
    for pod in ("frontend", "backend", "database"):
        assert _connections(stranger, pod, *addresses.values(), allowed) == ["refused"] * 4 + ["connected"]


def test_a_service_may_call_the_next_one_and_no_other(staging: Application) -> None:
    assert _ask(staging, "frontend", "http://backend:8080/api/data") == "200"
    assert _ask(staging, "backend", "http://database:8080/query") == "200"
    # The sidecar has no connection to offer. AuthorizationPolicies would say 403: the request never gets to them.
    assert _ask(staging, "frontend", "http://database:8080/query") == "503"
    assert _ask(staging, "database", "http://backend:8080/api/data") == "503"
    assert _ask(staging, "backend", "http://tracing.istio-system/") == "503"


def test_a_gateway_of_the_gateway_api_is_let_in(staging: Application, stranger: str) -> None:
    """Its pods are in the application's namespace, where nothing gets in that no policy names."""
    if run("get", "crd", "httproutes.gateway.networking.k8s.io").returncode:
        absent("no Gateway API in the cluster: scripts/gateway-api-crds")
    wanted = {("Gateway", "three-tier"), ("HTTPRoute", "frontend"), ("AuthorizationPolicy", "gateway")}
    built = [*build("istio/gateway-api/three-tier"), *build("istio/gateway-api/security")]
    ingress = [one for one in built if (one["kind"], one["metadata"]["name"]) in wanted]
    assert len(ingress) == 3
    apply(*relocate(ingress, staging.namespace))
    try:
        pods = ("pods", "-n", staging.namespace, "-l", "gateway.networking.k8s.io/gateway-name=three-tier")
        eventually(lambda: get(*pods)["items"], within=20, what="a pod of the gateway")
        staging.kubectl("wait", "--for=condition=Ready", "pods", *pods[3:], "--timeout=60s", timeout=70)
        url = f"http://{get(*pods)['items'][0]['status']['podIP']}/"
        ask = ("-n", stranger, "exec", "frontend", "--", "python", "-c", ASK, url)
        eventually(lambda: kubectl(*ask).strip() == "200", within=30, what="an answer through the gateway")
    finally:
        objects = (
            "gateways.gateway.networking.k8s.io/three-tier",
            "httproutes/frontend",
            "authorizationpolicies/gateway",
        )
        staging.kubectl("delete", *objects)


def test_it_is_the_policies_that_refuse(staging: Application, stranger: str) -> None:
    addresses = list(_addresses(staging).values())
    policies = [one for one in build(f"{STAGING}/workloads") if one["kind"] == "NetworkPolicy"]
    staging.kubectl("delete", "networkpolicy", "--all")
    try:
        eventually(
            lambda: _connections(stranger, "backend", *addresses) == ["connected"] * 4, within=15, what="open to all"
        )
        # Now the request arrives, and AuthorizationPolicies refuse it.
        assert _ask(staging, "frontend", "http://database:8080/query") == "403"
    finally:
        apply(*relocate(policies, staging.namespace))
    eventually(lambda: _connections(stranger, "backend", *addresses) == ["refused"] * 4, within=15, what="closed again")


def test_pod_templates_keep_to_the_restricted_standard() -> None:
    """The namespace warns of what would not be admitted under it; nothing is applied."""
    with namespace("mt-restricted", **{"pod-security.kubernetes.io/warn": "restricted"}) as name:
        workloads = [
            one
            for overlay in ("dev-otel", "dev-postgres", "production")
            for one in relocate(build(f"k8s/overlays/{overlay}/workloads"), name)
            if one["kind"] in ("Deployment", "StatefulSet")
        ]
        assert len(workloads) == 3 + 4 + 4
        for one in workloads:
            assert _warning(one) == ""
        del workloads[0]["spec"]["template"]["spec"]["securityContext"]["seccompProfile"]
        assert "would violate PodSecurity" in _warning(workloads[0])


def _warning(workload: Object) -> str:
    done = run("apply", "--dry-run=server", "-f", "-", input=json.dumps(workload))
    assert done.returncode == 0, done.stderr
    return done.stderr
