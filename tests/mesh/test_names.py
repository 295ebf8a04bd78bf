"""Names as Kubernetes and Istio form them."""

from __future__ import annotations

import pytest

from meshtrail.mesh import names


@pytest.mark.parametrize(
    ("port", "app_protocol", "expected"),
    [
        ("http", "", "http"),
        ("http-api", "", "http"),
        ("HTTP", "", "http"),
        ("grpc-web", "", "http"),
        ("grpc-web-x", "", "http"),
        ("grpc", "", "http2"),
        ("grpc-otel", "", "http2"),
        ("http2-x", "", "http2"),
        ("httpx", "", "tcp"),
        ("web", "", "tcp"),
        ("", "", "tcp"),
        ("tcp-query", "", "tcp"),
        ("tcp", "http", "http"),
        ("http", "tcp", "tcp"),
        ("web", "kubernetes.io/h2c", "http2"),
    ],
)
def test_protocol(port: str, app_protocol: str, expected: str) -> None:
    assert names.protocol(port, app_protocol) == expected


def test_canonical_service_takes_the_first_label_of_istio_s_order() -> None:
    labels = {"app": "a", "app.kubernetes.io/name": "b", "service.istio.io/canonical-name": "c"}
    assert names.canonical_service(labels, "w") == "c"
    del labels["service.istio.io/canonical-name"]
    assert names.canonical_service(labels, "w") == "b"
    assert names.canonical_service({"app": "a"}, "w") == "a"
    assert names.canonical_service({}, "w") == "w"


def test_canonical_revision() -> None:
    assert names.canonical_revision({"version": "v1", "app.kubernetes.io/version": "2"}) == "2"
    assert names.canonical_revision({"version": "v1"}) == "v1"
    assert names.canonical_revision({}) == "latest"


def test_spans_carry_the_app_label_even_where_the_canonical_service_differs() -> None:
    assert names.tracing_service({"app": "a", "app.kubernetes.io/name": "b"}, "n", "w") == "a.n"
    assert names.tracing_service({}, "n", "w") == "w.n"
    assert names.tracing_service({"app.kubernetes.io/name": "b"}, "n", "w") == "w.n"


def test_istio_completes_only_names_without_a_dot() -> None:
    assert names.istio_host("backend", "n") == "backend.n.svc.cluster.local"
    assert names.istio_host("backend.n", "n") == "backend.n"
    assert names.istio_host("*", "n") == "*"


def test_dns_tries_the_search_list() -> None:
    assert "backend.other.svc.cluster.local" in names.dns_candidates("backend.other", "n")
    assert names.dns_candidates("Backend.n.svc.cluster.local.", "n") == ("backend.n.svc.cluster.local",)
