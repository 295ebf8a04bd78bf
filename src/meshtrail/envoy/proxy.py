"""One proxy's configuration, as data and as the files that Envoy watches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Config = dict[str, Any]
"""Envoy configuration in the JSON form of its protobuf messages, field names in snake_case."""

TYPE = "type.googleapis.com"


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """`routes` are by the name under which a listener asks for them; `service_cluster` is the node's cluster, which
    the tracers take for the service's name.
    """

    name: str
    kind: Literal["sidecar", "gateway"]
    service_cluster: str
    node_id: str
    bootstrap: Config
    listeners: list[Config]
    routes: dict[str, Config]
    clusters: list[Config]

    def files(self, *, readable: bool = False) -> dict[str, str]:
        """Each watched file, by its path under the proxy's folder, in the order make-before-break wants: clusters,
        routes, listeners. `bootstrap.json` is not among them: Envoy reads it once. `readable`: with line breaks.
        """

        def text(message: str, resources: list[Config]) -> str:
            return as_json(discovery(message, resources), readable=readable)

        result = {"cds.json": text("envoy.config.cluster.v3.Cluster", self.clusters)}
        for name, route in self.routes.items():
            result[f"rds/{route_file(name)}"] = text("envoy.config.route.v3.RouteConfiguration", [route])
        result["lds.json"] = text("envoy.config.listener.v3.Listener", self.listeners)
        return result


def route_file(name: str) -> str:
    """The file of a route configuration. Its name may hold a colon, which not every file system takes."""
    return f"{name.replace(':', '_')}.json"


def discovery(message: str, resources: list[Config]) -> Config:
    """A DiscoveryResponse, the form in which Envoy reads resources from the file system."""
    return {"resources": [{"@type": f"{TYPE}/{message}", **resource} for resource in resources]}


def as_json(config: Config, *, readable: bool = False) -> str:
    return json.dumps(config, indent=2) + "\n" if readable else json.dumps(config, separators=(",", ":"))


def write(proxy: ProxyConfig, run_dir: Path, *, previous: Mapping[str, str] | None = None) -> list[str]:
    """Write the files of `proxy` that differ from `previous` under `run_dir/<proxy>`, each by an atomic rename.

    Returns their names. Routes that are gone stay as files: nothing refers to them.
    """
    folder = run_dir / proxy.name
    (folder / "rds").mkdir(parents=True, exist_ok=True)
    changed: list[str] = []
    for name, text in {"bootstrap.json": json.dumps(proxy.bootstrap), **proxy.files()}.items():
        if previous is not None and previous.get(name) == text:
            continue
        temporary = folder / f".{Path(name).name}.new"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / name)
        changed.append(name)
    return changed
