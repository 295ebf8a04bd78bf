"""EnvoyFilter: patches that a manifest lays over generated routes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from meshtrail.envoy.proxy import Config
from meshtrail.manifests import kinds
from meshtrail.mesh import Mesh
from meshtrail.mesh.tracing import selects

HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
FREE_FORM = frozenset({"filter_metadata", "typed_per_filter_config"})
"""Maps whose keys are names, not fields."""


def snake_case(value: Any, *, keys: bool = True) -> Any:
    """Protobuf's JSON has two spellings of a field; generated configuration uses the one with underscores."""
    if isinstance(value, Mapping):
        result: Config = {}
        for key, item in value.items():
            name = key if key.startswith("@") or not keys else HUMP.sub(lambda hump: "_" + hump[1].lower(), key)
            result[name] = snake_case(item, keys=name not in FREE_FORM)
        return result
    if isinstance(value, list | tuple):
        return [snake_case(item) for item in value]
    return value


def merge(target: Config, patch: Mapping[str, Any]) -> Config:
    """Protobuf's merge: messages field by field, lists one after the other, anything else replaced."""
    result = dict(target)
    for name, value in patch.items():
        old = result.get(name)
        if isinstance(old, dict) and isinstance(value, Mapping):
            result[name] = merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            result[name] = [*old, *value]
        else:
            result[name] = copy.deepcopy(value)
    return result


def patch_routes(
    configuration: Config, mesh: Mesh, *, context: str, namespace: str, labels: Mapping[str, str], port: int
) -> Config:
    """`configuration` with the patches of every EnvoyFilter that selects this proxy and context.

    Filters of the root namespace come first, as on Istio.
    """
    result = configuration
    for patch in _applicable(mesh, context, namespace, labels):
        if patch.port is not None and patch.port != port:
            continue
        hosts = [_patch_host(host, patch) for host in result["virtual_hosts"]]
        result = {**result, "virtual_hosts": hosts}
    return result


def _applicable(mesh: Mesh, context: str, namespace: str, labels: Mapping[str, str]) -> Iterable[kinds.RoutePatch]:
    root = mesh.config.root_namespace
    ordered = [f for f in mesh.envoy_filters if f.meta.namespace == root]
    if namespace != root:
        ordered += [f for f in mesh.envoy_filters if f.meta.namespace == namespace]
    for entry in ordered:
        if selects(entry.workload_selector, labels):
            yield from (patch for patch in entry.patches if patch.context in ("ANY", "", context))


def _patch_host(host: Config, patch: kinds.RoutePatch) -> Config:
    if patch.vhost_name and patch.vhost_name != host["name"]:
        return host
    value = snake_case(patch.value)
    if patch.operation == "INSERT_FIRST":
        return {**host, "routes": [value, *host["routes"]]}
    routes = [
        _patch_route(route, value) if not patch.route_name or patch.route_name == route.get("name", "") else route
        for route in host["routes"]
    ]
    return {**host, "routes": routes}


def _patch_route(route: Config, value: Config) -> Config:
    """The merged route; one that gets a timeout keeps to it, which Envoy does not beside our `max_stream_duration`."""
    result = merge(route, value)
    own = route.get("route", {}).get("max_stream_duration", {})
    if "timeout" in value.get("route", {}) and list(own) == ["grpc_timeout_header_max"]:
        result["route"] = {name: item for name, item in result["route"].items() if name != "max_stream_duration"}
    return result
