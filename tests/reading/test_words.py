from __future__ import annotations

import pytest

from meshtrail.model.span import Span
from meshtrail.reading.words import called_host, flag_text, label, milliseconds, short_name


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("backend.meshtrail.svc.cluster.local:8080/*", "backend:8080/*"),
        ("backend.default.svc.cluster.local:8080/api*", "backend:8080/api*"),
        ("router outbound|3000||frontend.default.svc.cluster.local; egress", "frontend:3000"),
        ("router outbound|9080|v2|reviews.default.svc.cluster.local; egress", "reviews:9080 v2"),
        ("router outbound|443||api.example.com; egress", "api.example.com:443"),
        ("reviews-route:9080", "reviews-route:9080"),
        ("GET /api/data", "GET /api/data"),
        ("a.svc.cluster.local.example.com", "a.svc.cluster.local.example.com"),
        ("", ""),
    ],
)
def test_short_name(name: str, short: str) -> None:
    assert short_name(name) == short


def test_labels() -> None:
    proxy = {"component": "proxy"}

    def one(service: str, name: str, kind: str, tags: dict[str, str]) -> str:
        return label(Span("a", "b", None, service, name, kind, 0, 0, tags), arrow="->")  # type: ignore[arg-type]

    host = "backend.meshtrail.svc.cluster.local:8080/*"
    assert one("backend.meshtrail", host, "server", proxy) == "backend:8080/*"
    assert one("frontend.meshtrail", host, "client", proxy) == "frontend -> backend:8080/*"
    assert one("backend", "GET /api/data", "server", {}) == "backend GET /api/data"
    assert one("database", "SELECT", "client", {}) == "database SELECT"


def test_called_host() -> None:
    def one(cluster: str) -> Span:
        return Span("a", "b", None, "s", "n", "client", 0, 0, {"upstream_cluster": cluster})

    assert called_host(one("outbound|8080|v1|backend.meshtrail.svc.cluster.local")) == "backend.meshtrail"
    assert called_host(one("outbound|443||api.example.com")) is None
    assert called_host(one("PassthroughCluster")) is None


def test_an_unknown_flag_stays() -> None:
    assert flag_text("FI") == "FI: fault injected"
    assert flag_text("XYZ") == "XYZ"


@pytest.mark.parametrize(("us", "text"), [(0, "0.00"), (11_899, "11.90"), (1_048_672, "1048.7")])
def test_milliseconds(us: int, text: str) -> None:
    assert milliseconds(us) == text
