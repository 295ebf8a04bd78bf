"""What is generated beside what a real istiod sent to the same application, field by field.

Every difference is named here; docs/local-mesh-config.md says why it is there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.envoy.support import proxies
from tests.parity.cluster import RECORDED

from meshtrail.envoy import ProxyConfig
from meshtrail.envoy.patches import snake_case
from meshtrail.envoy.proxy import Config

GATEWAY = "istio-ingressgateway"
MTLS = ("forward_client_cert_details", "set_current_client_cert_details")


@pytest.fixture
def generated(tmp_path: Path) -> dict[str, ProxyConfig]:
    return proxies(tmp_path)


def recorded(proxy: str, kind: str) -> list[Config]:
    name = "gateway" if proxy == GATEWAY else proxy
    found: list[Config] = snake_case(json.loads((RECORDED / "config" / f"{name}-{kind}.json").read_text()))
    return found


def named(items: list[Config], name: str) -> Config:
    return next(item for item in items if item["name"] == name)


def route(found: Config) -> Config:
    """A route with istiod's deprecated spelling of the gRPC timeout in Envoy's present one."""
    result = {**found, "route": dict(found["route"])}
    timeout = result["route"].pop("max_grpc_timeout", None)
    if timeout is not None:
        result["route"]["max_stream_duration"] = {"grpc_timeout_header_max": timeout}
    return result


def routes(host: Config) -> list[Config]:
    return [route(found) for found in host["routes"]]


def manager(listener: Config, chain: int = 0) -> Config:
    config: Config = listener["filter_chains"][chain]["filters"][0]["typed_config"]
    return config


def comparable(config: Config) -> Config:
    """A connection manager without what mutual TLS and the way of delivery make different."""
    result: Config = json.loads(json.dumps({key: value for key, value in config.items() if key not in MTLS}))
    # The JSON spelling does not tell where an underscore before a digit was.
    result["proxy_100_continue"] = result.pop("proxy100_continue", None) or result["proxy_100_continue"]
    if "rds" in result:
        result["rds"] = "by name"
    result["tracing"]["custom_tags"] = [
        tag for tag in result["tracing"]["custom_tags"] if not tag["tag"].startswith("istio.authorization.dry_run")
    ]
    for entry in result["http_filters"]:
        entry["typed_config"].pop("stats_for_all_methods", None)  # false, the default
    result["http_filters"] = [f for f in result["http_filters"] if f["name"] != "envoy.filters.http.lua"]
    result["request_id_extension"]["typed_config"].setdefault("use_request_id_for_trace_sampling", True)
    result.setdefault("use_remote_address", False)
    return result


def test_gateway_routes(generated: dict[str, ProxyConfig]) -> None:
    theirs, ours = named(recorded(GATEWAY, "routes"), "http.8080"), generated[GATEWAY].routes["http.8080"]
    assert {**ours, "virtual_hosts": None} == {**theirs, "virtual_hosts": None}
    (our_host,), (their_host,) = ours["virtual_hosts"], theirs["virtual_hosts"]
    assert {**our_host, "routes": routes(our_host)} == {**their_host, "routes": routes(their_host)}


@pytest.mark.parametrize(("proxy", "to"), [("frontend", "backend"), ("backend", "database")])
def test_outbound_routes(proxy: str, to: str, generated: dict[str, ProxyConfig]) -> None:
    name = f"{to}.default.svc.cluster.local:8080"
    (ours,) = generated[proxy].routes[name]["virtual_hosts"]
    theirs = named(named(recorded(proxy, "routes"), "8080")["virtual_hosts"], name)
    # The listener is for this one service, so its virtual host takes any name.
    assert {**ours, "domains": None, "routes": routes(ours)} == {**theirs, "domains": None, "routes": routes(theirs)}


@pytest.mark.parametrize(("proxy", "port"), [("frontend", 3000), ("backend", 8080)])
def test_inbound(proxy: str, port: int, generated: dict[str, ProxyConfig]) -> None:
    chains = named(recorded(proxy, "listeners"), "virtualInbound")["filter_chains"]
    (theirs,) = [
        chain["filters"][0]["typed_config"]
        for chain in chains
        if chain.get("filter_chain_match", {}).get("destination_port") == port
        and chain["filter_chain_match"]["transport_protocol"] == "raw_buffer"
    ]
    ours = manager(named(generated[proxy].listeners, f"inbound_0.0.0.0_{port}"))
    assert comparable(ours) == comparable(theirs)


@pytest.mark.parametrize(("proxy", "to"), [("frontend", "backend"), ("backend", "database")])
def test_outbound(proxy: str, to: str, generated: dict[str, ProxyConfig]) -> None:
    theirs = named(recorded(proxy, "listeners"), "0.0.0.0_8080")
    ours = named(generated[proxy].listeners, f"{to}.default.svc.cluster.local_8080")
    assert comparable(manager(ours)) == comparable(manager(theirs))
    assert ours["traffic_direction"] == theirs["traffic_direction"]


def test_gateway(generated: dict[str, ProxyConfig]) -> None:
    theirs, ours = named(recorded(GATEWAY, "listeners"), "0.0.0.0_8080"), generated[GATEWAY].listeners[0]
    assert ours["name"] == theirs["name"]
    assert comparable(manager(ours)) == comparable(manager(theirs))


DELIVERY = ("type", "eds_cluster_config", "load_assignment", "transport_socket_matches", "metadata")
ORIGINAL_DESTINATION = ("lb_policy", "cleanup_interval", "upstream_bind_config", "common_lb_config")


def without(cluster: Config, *fields: str) -> dict[str, Any]:
    return {key: value for key, value in cluster.items() if key not in fields}


@pytest.mark.parametrize("proxy", [GATEWAY, "frontend", "backend"])
def test_clusters(proxy: str, generated: dict[str, ProxyConfig]) -> None:
    names = [name for name in generated[proxy].clusters if ".default." in name["name"]]
    assert len(names) == 3
    for ours in names:
        theirs = named(recorded(proxy, "clusters"), ours["name"])
        assert without(ours, *DELIVERY) == without(theirs, *DELIVERY)


@pytest.mark.parametrize(("proxy", "port"), [("frontend", 3000), ("backend", 8080)])
def test_inbound_cluster(proxy: str, port: int, generated: dict[str, ProxyConfig]) -> None:
    name = f"inbound|{port}||"
    ours, theirs = named(generated[proxy].clusters, name), named(recorded(proxy, "clusters"), name)
    ignored = (*DELIVERY, *ORIGINAL_DESTINATION)
    assert without(ours, *ignored) == without(theirs, *ignored)
