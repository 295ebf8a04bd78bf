"""What an Envoy reads once: who it is, where its admin socket is, and which files hold the rest."""

from __future__ import annotations

from pathlib import Path

from meshtrail.envoy.clusters import socket_address
from meshtrail.envoy.places import Endpoint
from meshtrail.envoy.proxy import TYPE, Config

FLUSH_SPANS = 512
FLUSH_MILLISECONDS = 100
MAX_CONNECTIONS = 10_000


def bootstrap(name: str, node_id: str, service_cluster: str, run_dir: Path, admin: Endpoint | None = None) -> Config:
    """The bootstrap of the proxy `name`, whose files lie in `run_dir/<name>`.

    The admin interface is at `admin`, else a socket in the file system: no web page, and no other user, reaches that.
    """
    folder = run_dir / name
    socket = {"pipe": {"path": str(folder / "admin.sock"), "mode": 0o600}}
    return {
        "node": {"id": node_id, "cluster": service_cluster},
        "admin": {"address": socket_address(admin) if admin else socket},
        "dynamic_resources": {
            "cds_config": watched(folder, "cds.json"),
            "lds_config": watched(folder, "lds.json"),
        },
        "layered_runtime": {"layers": [{"name": "static", "static_layer": runtime()}]},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{TYPE}/envoy.extensions.resource_monitors.downstream_connections.v3."
                        "DownstreamConnectionsConfig",
                        "max_active_downstream_connections": MAX_CONNECTIONS,
                    },
                }
            ]
        },
    }


def watched(folder: Path, name: str) -> Config:
    """A resource read from a file, again whenever something is renamed into its folder."""
    path = folder / name
    return {
        "path_config_source": {"path": str(path), "watched_directory": {"path": str(path.parent)}},
        "resource_api_version": "V3",
    }


def runtime() -> Config:
    """Spans leave within 0.1 s, and under load many go in one export.

    Envoy's own defaults are 5 spans or 5 s; with a minimum of 1 every span would be an export of its own.
    """
    tracer = {"min_flush_spans": FLUSH_SPANS, "flush_interval_ms": FLUSH_MILLISECONDS}
    return {"tracing": {"opentelemetry": tracer, "zipkin": tracer}}
