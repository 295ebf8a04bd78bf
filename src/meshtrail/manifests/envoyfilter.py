"""Istio's EnvoyFilter, as far as it changes HTTP routes."""

from __future__ import annotations

from typing import Literal

from meshtrail.manifests import kinds
from meshtrail.manifests.document import Map, plain
from meshtrail.manifests.kubernetes import OBJECT
from meshtrail.manifests.reader import Fields, Value, message

ENVOY_FILTER = message("EnvoyFilter", f"{OBJECT} spec", inert="status")
SPEC = message(
    "EnvoyFilter.spec",
    "workloadSelector configPatches",
    refused={"targetRefs": "use workloadSelector", "priority": "order the patches in one EnvoyFilter"},
)
SELECTOR = message("EnvoyFilter.spec.workloadSelector", "labels")
CONFIG_PATCH = message("EnvoyFilter.spec.configPatches[]", "applyTo match patch")
MATCH = message(
    "EnvoyFilter.spec.configPatches[].match",
    "context routeConfiguration",
    refused=dict.fromkeys(("proxy", "listener", "cluster", "waypoint"), "match a routeConfiguration"),
)
ROUTE_CONFIGURATION = message(
    "EnvoyFilter.spec.configPatches[].match.routeConfiguration",
    "portNumber vhost",
    refused=dict.fromkeys(("name", "portName", "gateway"), "match by portNumber, vhost or route"),
)
VHOST = message(
    "EnvoyFilter.spec.configPatches[].match.routeConfiguration.vhost",
    "name route",
    refused={"domainName": "match by name"},
)
ROUTE = message(
    "EnvoyFilter.spec.configPatches[].match.routeConfiguration.vhost.route",
    "name action",
)
PATCH = message("EnvoyFilter.spec.configPatches[].patch", "operation value", refused="filterClass")

_APPLY_TO = (
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
)
_OPERATIONS = ("MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE")
_CONTEXTS = ("ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT")


def envoy_filter(top: Fields, meta: kinds.Meta) -> kinds.EnvoyFilter:
    spec = top.fields("spec", SPEC, required=True)
    if spec is None:
        return kinds.EnvoyFilter(meta, {}, ())
    selector = spec.fields("workloadSelector", SELECTOR)
    patches = [route_patch(item) for item in spec.all_fields("configPatches", CONFIG_PATCH, required=True)]
    return kinds.EnvoyFilter(
        meta,
        selector.labels("labels") if selector else {},
        tuple(patch for patch in patches if patch is not None),
    )


def route_patch(fields: Fields) -> kinds.RoutePatch | None:
    """None when the patch is not carried out, or wrong (noted)."""
    apply_to = fields.text("applyTo", required=True, choices=_APPLY_TO)
    if apply_to != "HTTP_ROUTE":
        if apply_to:
            fields.not_carried_out("applyTo", "only HTTP_ROUTE is carried out", f"applyTo {apply_to}")
        return None
    patch = fields.fields("patch", PATCH, required=True)
    match = fields.fields("match", MATCH)
    if patch is None:
        return None
    operation = patch.text("operation", required=True, choices=_OPERATIONS)
    if operation and operation not in ("MERGE", "INSERT_FIRST"):
        patch.not_carried_out("operation", "use MERGE or INSERT_FIRST", f"operation {operation}")
        return None
    context = match.text("context", "ANY", choices=_CONTEXTS) if match else "ANY"
    if match and context == "WAYPOINT":
        match.not_carried_out("context", "use GATEWAY or SIDECAR_*", "context WAYPOINT")
        return None
    config = match.fields("routeConfiguration", ROUTE_CONFIGURATION) if match else None
    vhost = config.fields("vhost", VHOST) if config else None
    route = vhost.fields("route", ROUTE) if vhost else None
    if route and route.text("action", choices=("ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE")) not in ("", "ANY"):
        route.not_carried_out("action", "match by name")
    value = patch.need("value")
    if value is None or not isinstance(value.raw, Map):
        if value is not None:
            value.wrong("a mapping: a part of an Envoy route")
        return None
    known: dict[str, Literal["MERGE", "INSERT_FIRST"]] = {"MERGE": "MERGE", "INSERT_FIRST": "INSERT_FIRST"}
    if operation not in known:
        return None
    check_free(value)
    return kinds.RoutePatch(
        operation=known[operation],
        context=context,
        value=plain(value.raw),
        route_name=route.text("name") if route else "",
        vhost_name=vhost.text("name") if vhost else "",
        port=config.maybe_integer("portNumber", 1, 65535) if config else None,
        field=fields.value.path,
    )


def check_free(value: Value) -> None:
    """The names of Envoy's route fields are Envoy's to check; a mistake in the obvious ones is said here."""
    top = ("name", "match", "route", "redirect", "direct_response", "filter_action", "non_forwarding_action",
           "metadata", "decorator", "typed_per_filter_config", "request_headers_to_add", "request_headers_to_remove",
           "response_headers_to_add", "response_headers_to_remove", "tracing", "per_request_buffer_limit_bytes",
           "request_body_buffer_limit", "stat_prefix")  # fmt: skip
    for name, item in value.entries():
        if name not in top:
            item.error(f"an Envoy route has no field {name[:60]!r}", f"known: {', '.join(top)}")
