"""Names of spans, order and reach of routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.envoy.support import proxies, routes_to, virtual_service

from meshtrail.envoy.matches import route_match
from meshtrail.envoy.routes import operation
from meshtrail.manifests import kinds

BACKEND = {"destination": {"host": "backend"}}
NAME = "backend.default.svc.cluster.local:8080"
ONE = "outbound|8080||backend.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("match", "cluster", "expected"),
    [
        ({"prefix": "/"}, ONE, f"{NAME}/*"),
        ({"prefix": "/api"}, ONE, f"{NAME}/api*"),
        ({"path": "/login"}, ONE, f"{NAME}/login"),
        ({"safe_regex": {"regex": "/a/.*"}}, ONE, f"{NAME}/a/.*"),
        ({"prefix": "/"}, "outbound|8080|v1|backend.default.svc.cluster.local", f"{NAME}/*"),
        ({"prefix": "/"}, "", "shop:80/*"),
        ({"path": "/login"}, "", "shop:80/login"),
    ],
)
def test_operation(match: dict[str, Any], cluster: str, expected: str) -> None:
    assert operation(match, cluster, "shop", 80) == expected


def outbound(folder: Path, *http: object) -> list[dict[str, Any]]:
    return routes_to(proxies(folder, virtual_service(list(http)))["frontend"], NAME)


def test_nothing_follows_a_route_that_takes_everything(tmp_path: Path) -> None:
    found = outbound(tmp_path, {"name": "all", "route": [BACKEND]}, {"name": "late", "route": [BACKEND]})
    assert [route["name"] for route in found] == ["all"]


def test_each_match_is_a_route_with_both_names(tmp_path: Path) -> None:
    matches = [{"name": "one", "uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}]
    found = outbound(tmp_path, {"name": "api", "match": matches, "route": [BACKEND]})
    assert [route["name"] for route in found] == ["api.one", "api"]


@pytest.mark.parametrize(
    ("match", "kept"),
    [
        ({"sourceLabels": {"app": "frontend"}}, "own"),
        ({"sourceLabels": {"app": "other"}}, "default"),
        ({"sourceNamespace": "default"}, "own"),
        ({"sourceNamespace": "other"}, "default"),
        ({"port": 8080}, "own"),
        ({"port": 80}, "default"),
        ({"authority": {"exact": "backend:8080"}}, "own"),
        # It is about this caller and port, and no request meets it: 404, as on Istio.
        ({"authority": {"prefix": "shop"}}, None),
    ],
)
def test_what_is_known_before_a_request_is_decided_here(match: object, kept: str | None, tmp_path: Path) -> None:
    found = outbound(tmp_path, {"name": "own", "match": [match], "route": [BACKEND]})
    assert [route["name"] for route in found] == ([kept] if kept else [])


def test_the_gateway_matches_authority_itself(tmp_path: Path) -> None:
    text = virtual_service(
        [{"match": [{"authority": {"exact": "a.example"}}], "route": [BACKEND]}], host="*", gateways=["frontend"]
    )
    (found,) = routes_to(proxies(tmp_path, text)["istio-ingressgateway"], "http.8080")
    assert found["match"]["headers"] == [{"name": ":authority", "string_match": {"exact": "a.example"}}]


def test_two_virtual_services_of_a_gateway_s_host_are_merged_what_takes_everything_last(tmp_path: Path) -> None:
    second = virtual_service(
        [{"name": "api", "match": [{"uri": {"prefix": "/api"}}], "route": [BACKEND]}], host="*", gateways=["frontend"]
    ).replace("name: frontend", "name: second")
    found = routes_to(proxies(tmp_path, second)["istio-ingressgateway"], "http.8080")
    assert [route["match"] for route in found] == [{"prefix": "/api"}, {"prefix": "/"}]


def test_a_gateway_host_becomes_its_own_virtual_host(tmp_path: Path) -> None:
    text = virtual_service([{"route": [BACKEND]}], host="shop.example", gateways=["frontend"]).replace(
        "name: frontend", "name: shop"
    )
    hosts = proxies(tmp_path, text)["istio-ingressgateway"].routes["http.8080"]["virtual_hosts"]
    assert {host["name"]: host["domains"] for host in hosts} == {"*:80": ["*"], "shop.example:80": ["shop.example"]}


def test_default_retries_give_way_to_the_manifest_s(tmp_path: Path) -> None:
    policy = {"attempts": 3, "retryOn": "5xx,404", "perTryTimeout": "250ms"}
    (found,) = outbound(tmp_path, {"retries": policy, "route": [BACKEND]})
    written = found["route"]["retry_policy"]
    assert written["retry_on"] == "5xx,retriable-status-codes"
    assert written["retriable_status_codes"] == [404]
    assert (written["num_retries"], written["per_try_timeout"]) == (3, "0.25s")
    assert written["retry_host_predicate"]
    (none,) = outbound(tmp_path, {"retries": {"attempts": 0}, "route": [BACKEND]})
    assert "retry_policy" not in none["route"]


def test_a_host_that_is_set_becomes_a_rewrite(tmp_path: Path) -> None:
    (found,) = outbound(
        tmp_path, {"headers": {"request": {"set": {"Host": "other", "x": "value"}}}, "route": [BACKEND]}
    )
    assert found["route"]["host_rewrite_literal"] == "other"
    assert [entry["header"]["key"] for entry in found["request_headers_to_add"]] == ["x"]


def test_headers_of_a_sole_destination_belong_to_the_route(tmp_path: Path) -> None:
    own = {**BACKEND, "headers": {"response": {"add": {"x-b": "2"}}}}
    (found,) = outbound(tmp_path, {"headers": {"response": {"set": {"x-a": "1"}}}, "route": [own]})
    actions = [(entry["header"]["key"], entry["append_action"]) for entry in found["response_headers_to_add"]]
    assert actions == [("x-a", "OVERWRITE_IF_EXISTS_OR_ADD"), ("x-b", "APPEND_IF_EXISTS_OR_ADD")]


def test_a_weight_of_zero_sends_nothing(tmp_path: Path) -> None:
    both = [{**BACKEND, "weight": 100}, {"destination": {"host": "database"}, "weight": 0}]
    (found,) = outbound(tmp_path, {"route": both})
    assert found["route"]["cluster"] == ONE
    assert found["decorator"]["operation"] == f"{NAME}/*"


def test_without_headers_lets_requests_pass_that_lack_the_header() -> None:
    match = kinds.HttpMatch(
        without_headers=(("a", kinds.StringMatch("exact", "1")), ("b", kinds.StringMatch("present")))
    )
    assert route_match(match)["headers"] == [
        {"name": "a", "string_match": {"exact": "1"}, "invert_match": True, "treat_missing_header_as_empty": True},
        {"name": "b", "present_match": True, "invert_match": True},
    ]
