"""istio/policies and istio/security on the cluster: what is not allowed is refused, what is needed works."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.cluster.support import Application, Object, apply, build, get, relocate, shape
from tests.support.mesh import eventually

pytestmark = pytest.mark.cluster

# The status of a request, the kind of error when there was no answer.
ASK = """
import sys, urllib.error, urllib.request
try:
    url, method, *host = sys.argv[1:]
    request = urllib.request.Request(url, method=method, headers={"Host": host[0]} if host else {})
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print(type(getattr(error, "reason", error)).__name__)
"""
OUTSIDER = "outsider"
SERVER_PORT = 8080


@pytest.fixture(scope="module")
def outsider(secured: Application) -> Iterator[str]:
    """Address of a pod without sidecar that serves HTTP: in the namespace, and yet not of the mesh."""
    apply(_outsider(secured))
    secured.kubectl("wait", "--for=condition=Ready", f"pod/{OUTSIDER}", "--timeout=60s", timeout=70)
    yield get("pod", OUTSIDER, "-n", secured.namespace)["status"]["podIP"]
    secured.kubectl("delete", "pod", OUTSIDER, "--wait=false")


def _outsider(application: Application) -> Object:
    pods = get("deployment", "frontend", "-n", application.namespace)["spec"]["template"]["spec"]
    server = ["python", "-m", "http.server", "--directory", "/etc", str(SERVER_PORT)]
    container = {"name": OUTSIDER, "image": pods["containers"][0]["image"], "command": server}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": OUTSIDER,
            "namespace": application.namespace,
            "labels": {"sidecar.istio.io/inject": "false"},
        },
        "spec": {
            "containers": [{**container, "imagePullPolicy": "IfNotPresent"}],
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
        },
    }


def ask(application: Application, who: str, url: str, method: str = "GET", *host: str) -> str:
    """What a process beside `who` is answered: a status, or the name of an error."""
    target, container = (f"pod/{who}", who) if who == OUTSIDER else (f"deployment/{who}", who)
    return application.kubectl("exec", target, "-c", container, "--", "python", "-c", ASK, url, method, *host).strip()


def address(application: Application, app: str) -> str:
    """Of the pod of a service."""
    (pod,) = get("pods", "-n", application.namespace, "-l", f"app={app}")["items"]
    ip: str = pod["status"]["podIP"]
    return ip


@pytest.mark.parametrize("url", ["http://frontend:3000/", "http://backend:8080/api/data", "http://database:8080/query"])
def test_strict_mutual_tls_refuses_plain_http(url: str, secured: Application, outsider: str) -> None:
    assert ask(secured, OUTSIDER, f"http://{outsider}:{SERVER_PORT}/") == "200"  # It can ask at all.
    # No answer of a server: the sidecar ends the connection.
    assert ask(secured, OUTSIDER, url) in ("ConnectionResetError", "RemoteDisconnected")


def test_the_propagation_switch_stays_reachable_past_the_sidecar(secured: Application, outsider: str) -> None:
    pod = address(secured, "backend")
    # It takes names of this machine only, as kubectl port-forward gives them.
    assert ask(secured, OUTSIDER, f"http://{pod}:8090/propagation", "GET", "localhost") == "200"
    assert ask(secured, OUTSIDER, f"http://{pod}:8080/healthz") in ("ConnectionResetError", "RemoteDisconnected")


def test_probes_of_the_kubelet_pass(secured: Application) -> None:
    pods = get("pods", "-n", secured.namespace, "-l", "app.kubernetes.io/part-of=three-tier")["items"]
    containers = [one for pod in pods for one in pod["status"]["containerStatuses"]]
    assert {one["name"] for one in containers} >= {"frontend", "backend", "database"}
    assert [one["name"] for one in containers if one["restartCount"] or not one["ready"]] == []


@pytest.mark.parametrize(
    ("who", "url", "method", "status"),
    [
        # What is needed ...
        ("frontend", "http://backend:8080/api/data", "GET", "200"),
        ("backend", "http://database:8080/query", "GET", "200"),
        # ... and near misses: past a tier, back, another path, another method.
        ("frontend", "http://database:8080/query", "GET", "403"),
        ("database", "http://backend:8080/api/data", "GET", "403"),
        ("backend", "http://frontend:3000/", "GET", "403"),
        ("backend", "http://backend:8080/api/data", "GET", "403"),
        ("frontend", "http://backend:8080/api/data/more", "GET", "403"),
        ("frontend", "http://backend:8080/healthz", "GET", "403"),
        ("backend", "http://database:8080/query", "POST", "403"),
    ],
)
def test_who_may_call_whom(who: str, url: str, method: str, status: str, secured: Application) -> None:
    assert ask(secured, who, url, method) == status


def test_the_gateway_may_ask_for_what_is_offered_and_no_more(secured: Application) -> None:
    assert [secured.get(path).status_code for path in ("/", "/healthz", "/readyz", "/propagation")] == [
        200,
        200,
        403,
        403,
    ]


def test_a_refusal_is_in_the_trace_at_the_one_who_refused(secured: Application, jaeger: str) -> None:
    (allowed,) = (one for one in _policies(secured) if one["metadata"]["name"] == "database")
    try:
        secured.kubectl("delete", "authorizationpolicy", "database")
        # frontend answers 502: its upstream was refused.
        eventually(lambda: secured.get().status_code == 502, within=20, what="database refuses backend")
        trace = secured.trace_when(
            jaeger, lambda trace: len(shape(trace)) == len(secured.chain()), within=40, status=502
        )
        refused = next(span for span in trace.spans if span.service == f"database.{secured.namespace}")
        assert str(refused.tags["http.status_code"]) == "403"
    finally:
        apply(allowed)
        eventually(secured.answers, within=20, what="database answers backend")


def _policies(application: Application) -> list[Object]:
    return [one for one in relocate(build("istio/security"), application.namespace) if "spec" in one]


def test_sidecars_know_their_namespace_and_istios_and_let_nothing_else_out(secured: Application, outsider: str) -> None:
    known = json.loads(
        secured.kubectl("exec", "deployment/frontend", "-c", "istio-proxy", "--", "pilot-agent", "request", "GET",
                        "clusters?format=json")
    )  # fmt: skip
    hosts = {one["name"].split("|")[3] for one in known["cluster_statuses"] if one["name"].startswith("outbound|")}
    namespaces = {host.split(".")[1] for host in hosts}
    assert f"backend.{secured.namespace}.svc.cluster.local" in hosts
    assert namespaces == {secured.namespace, "istio-system"}

    url = f"http://{outsider}:{SERVER_PORT}/"
    assert ask(secured, "frontend", url) == "502"
    (scope,) = (one for one in _policies(secured) if one["kind"] == "Sidecar")
    try:
        secured.kubectl("delete", "sidecar", scope["metadata"]["name"])
        eventually(lambda: ask(secured, "frontend", url) == "200", within=20, what="without the Sidecar it gets out")
    finally:
        apply(scope)
    eventually(lambda: ask(secured, "frontend", url) == "502", within=20, what="with the Sidecar it does not")
