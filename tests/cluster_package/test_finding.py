"""Where gateway and Jaeger are, and by which way they are reached."""

from __future__ import annotations

import json

import pytest
from tests.cluster_package.support import Cluster
from tests.reading.jaeger_server import jaeger_server

from meshtrail.cluster import objects
from meshtrail.cluster.application import deployed, form_of
from meshtrail.cluster.jaeger import base_url, query_service
from meshtrail.cluster.kubectl import ClusterError
from meshtrail.cluster.objects import matches
from meshtrail.cluster.reach import Candidate, direct_addresses, first_answering, forward_command, is_local
from meshtrail.cluster.routes import entrance, entry_service

GATEWAY_API = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "three-tier", "namespace": "mt-e"},
    "spec": {
        "gatewayClassName": "istio",
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"}],
    },
}
HTTP_ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "frontend", "namespace": "mt-e"},
    "spec": {
        "parentRefs": [{"name": "three-tier"}],
        "rules": [{"backendRefs": [{"name": "frontend", "port": 3000}]}],
    },
}


def by_gateway_api() -> Cluster:
    """The same application behind a gateway that Istio made for a Gateway of the Gateway API."""
    cluster = Cluster()
    cluster.drop(lambda item: item["kind"] in ("Gateway", "VirtualService"))
    labels = {"gateway.networking.k8s.io/gateway-name": "three-tier"}
    pod = json.loads(json.dumps(cluster.one("Pod", "istio-ingressgateway", "istio-system")))
    pod["metadata"].update(name="three-tier-istio-1", namespace="mt-e", labels=labels)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "three-tier-istio", "namespace": "mt-e", "labels": labels},
        "spec": {"type": "ClusterIP", "selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 80}]},
    }
    cluster.items += [GATEWAY_API, HTTP_ROUTE, pod, service]
    return cluster


def test_the_gateway_is_found_from_the_routes() -> None:
    found = entrance(Cluster().snapshot())
    assert objects.key(found.service) == "istio-system/istio-ingressgateway"
    assert (found.port, found.host) == (80, "mt-e.meshtrail.test")
    assert entry_service(found) == "frontend.mt-e"


def test_a_route_for_any_host_needs_none() -> None:
    cluster = Cluster()
    cluster.one("VirtualService", "frontend")["spec"]["hosts"] = ["*"]
    assert entrance(cluster.snapshot()).host == "mt-e.meshtrail.test"
    cluster.one("Gateway", "three-tier")["spec"]["servers"][0]["hosts"] = ["*"]
    assert entrance(cluster.snapshot()).host == ""
    cluster.one("Gateway", "three-tier")["spec"]["servers"][0]["hosts"] = ["mt-e/*.example.com"]
    assert entrance(cluster.snapshot()).host == "meshtrail.example.com"


def test_the_gateway_of_the_gateway_api_is_found_too() -> None:
    found = entrance(by_gateway_api().snapshot())
    assert objects.key(found.service) == "mt-e/three-tier-istio"
    assert (found.port, found.host) == (80, "meshtrail.example.com")
    assert entry_service(found) == "frontend.mt-e"


def test_a_server_that_only_redirects_is_no_way_in() -> None:
    cluster = Cluster()
    cluster.one("Gateway", "three-tier")["spec"]["servers"][0]["tls"] = {"httpsRedirect": True}
    with pytest.raises(ClusterError, match="no gateway that takes plain HTTP"):
        entrance(cluster.snapshot())


def test_no_route_is_an_error_that_points_to_preflight() -> None:
    cluster = Cluster()
    cluster.drop(lambda item: item["kind"] == "VirtualService")
    with pytest.raises(ClusterError, match="no route of namespace mt-e") as caught:
        entrance(cluster.snapshot())
    assert "meshtrail preflight --context kind-meshtrail --namespace mt-e" in caught.value.mend


def test_the_load_balancer_comes_first_then_nodes_then_this_machine() -> None:
    cluster = Cluster()
    gateway = cluster.one("Service", "istio-ingressgateway", "istio-system")
    found = direct_addresses(cluster.snapshot(), gateway, 80)
    assert [one.url for one in found] == ["http://10.245.0.2:80", "http://10.245.0.1:30080", "http://127.0.0.1:30080"]
    gateway["status"]["loadBalancer"] = {"ingress": [{"hostname": "lb.example.com"}, {"ip": "2001:db8::1"}]}
    found = direct_addresses(cluster.snapshot(), gateway, 80)
    assert [one.url for one in found[:2]] == ["http://lb.example.com:80", "http://[2001:db8::1]:80"]


def test_a_remote_cluster_is_not_sought_on_this_machine() -> None:
    cluster = Cluster()
    gateway = cluster.one("Service", "istio-ingressgateway", "istio-system")
    found = direct_addresses(cluster.snapshot(context="prod", server="https://203.0.113.9:6443"), gateway, 80)
    assert not any("127.0.0.1" in one.url for one in found)


@pytest.mark.parametrize(
    ("context", "server", "local"),
    [
        ("kind-a", "https://127.0.0.1:40001", True),
        ("mine", "https://127.0.0.1:6443", True),
        ("docker-desktop", "https://kubernetes.docker.internal:6443", True),
        ("minikube", "https://192.168.49.2:8443", True),
        ("prod", "https://203.0.113.9:6443", False),
    ],
)
def test_which_cluster_is_on_this_machine(context: str, server: str, local: bool) -> None:
    assert is_local(context, server) is local


def test_a_service_within_the_cluster_has_no_address() -> None:
    cluster = Cluster()
    tracing = cluster.one("Service", "tracing", "istio-system")
    assert direct_addresses(cluster.snapshot(), tracing, 80) == ()
    assert forward_command(cluster.snapshot(), tracing, 80) == (
        "kubectl --context kind-meshtrail -n istio-system port-forward svc/tracing 8080:80"
    )


def test_the_best_of_those_that_answer_is_taken() -> None:
    asked = [Candidate("a", "1"), Candidate("b", "2"), Candidate("c", "3")]
    found = first_answering(asked, lambda url: url in "bc")
    assert found == asked[1]
    assert first_answering(asked, lambda url: False) is None


def test_jaeger_is_found_by_name_else_by_port() -> None:
    cluster = Cluster()
    found = query_service(cluster.snapshot())
    assert found is not None
    assert (objects.key(found[0]), found[1]) == ("istio-system/tracing", 80)
    tracing = cluster.one("Service", "tracing", "istio-system")
    tracing["metadata"]["name"] = "my-jaeger"
    cluster.drop(lambda item: item["kind"] == "Service" and item["metadata"]["name"] == "jaeger-host")
    found = query_service(cluster.snapshot())
    assert found is not None
    assert objects.name(found[0]) == "my-jaeger"
    cluster.drop(lambda item: item["kind"] == "Service" and item["metadata"]["name"] == "my-jaeger")
    assert query_service(cluster.snapshot()) is None


def test_the_base_path_is_found() -> None:
    with jaeger_server() as server:
        assert base_url(server.url) == server.url
    with jaeger_server(answer=(200, "text/html", b'<html><base href="/x/"/>')) as server:
        assert base_url(server.url) is None
    assert base_url("http://127.0.0.1:9") is None


@pytest.mark.parametrize(
    ("expression", "labels", "matched"),
    [
        ({"key": "a", "operator": "In", "values": ["1"]}, {"a": "1"}, True),
        ({"key": "a", "operator": "In", "values": ["1"]}, {}, False),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, {}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, {"a": "1"}, False),
        ({"key": "a", "operator": "Exists"}, {"a": ""}, True),
        ({"key": "a", "operator": "DoesNotExist"}, {"a": ""}, False),
        ({"key": "a", "operator": "DoesNotExist"}, {"b": ""}, True),
    ],
)
def test_label_selectors(expression: dict[str, object], labels: dict[str, str], matched: bool) -> None:
    assert matches({"matchExpressions": [expression]}, labels) is matched


@pytest.mark.parametrize(
    ("image", "form"),
    [
        ("meshtrail/backend-python:0.1.0", "plain"),
        ("meshtrail/backend-python-otel:0.1.0", "otel"),
        ("registry.example.com:5000/team/meshtrail_backend-python-otel:a1b2@sha256:00", "otel"),
        ("postgres:17.6-bookworm", ""),
    ],
)
def test_the_form_is_known_from_the_image(image: str, form: str) -> None:
    assert form_of(image) == form


@pytest.mark.parametrize(
    ("label", "name"), [("bookinfo", "bookinfo"), ("three-tier", "three-tier"), ("a shop", "three-tier")]
)
def test_the_application_is_what_its_workloads_are_labelled(label: str, name: str) -> None:
    cluster = Cluster()
    for item in cluster.items:
        if item["kind"] == "Deployment":
            item["metadata"]["labels"]["app.kubernetes.io/part-of"] = label
    assert deployed(cluster.snapshot()).name == name
