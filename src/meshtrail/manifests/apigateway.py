"""The Gateway API's Gateway: what comes in, at a proxy that Istio makes for it."""

from __future__ import annotations

import re
from typing import Literal, cast

from meshtrail.manifests import kinds
from meshtrail.manifests.kubernetes import OBJECT
from meshtrail.manifests.reader import Fields, Value, message

NAME = kinds.API_GATEWAY
GROUP = "gateway.networking.k8s.io"
CLASS = "istio"
PLAIN_HTTP = "the local gateway speaks plain HTTP: add a listener with protocol HTTP"

API_GATEWAY = message(NAME, f"{OBJECT} spec", inert="status")
SPEC = message(
    f"{NAME}.spec",
    "gatewayClassName listeners",
    inert="infrastructure",
    refused={
        "addresses": "the local gateway binds to loopback",
        "allowedListeners": "write the listeners here",
        "defaultScope": "name the gateway in each route's parentRefs",
        "tls": PLAIN_HTTP,
    },
)
LISTENER = message(f"{NAME}.spec.listeners[]", "name port protocol hostname allowedRoutes", refused={"tls": PLAIN_HTTP})
ALLOWED = message(f"{NAME}.spec.listeners[].allowedRoutes", "namespaces kinds")
ALLOWED_KIND = message(f"{NAME}.spec.listeners[].allowedRoutes.kinds[]", "group kind")
NAMESPACES = message(f"{NAME}.spec.listeners[].allowedRoutes.namespaces", "from selector")
SELECTOR = message(
    f"{NAME}.spec.listeners[].allowedRoutes.namespaces.selector",
    "matchLabels",
    refused={"matchExpressions": "use matchLabels"},
)
_HOSTNAME = re.compile(r"(?:\*\.)?[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\Z", re.ASCII)
_SECTION = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\Z", re.ASCII)


def api_gateway(top: Fields, meta: kinds.Meta) -> kinds.ApiGateway:
    spec = top.fields("spec", SPEC, required=True)
    if spec is None:
        return kinds.ApiGateway(meta, "", ())
    class_name = spec.text("gatewayClassName", required=True)
    if class_name and class_name != CLASS:
        spec.not_carried_out("gatewayClassName", f"use {CLASS}", f"a gateway of class {class_name[:60]}")
    listeners = []
    for item in spec.all_fields("listeners", LISTENER, required=True):
        protocol = item.text("protocol", required=True)
        if protocol and protocol != "HTTP":
            if "tls" not in item:
                item.not_carried_out("protocol", "use HTTP", f"protocol {protocol[:60]}")
            continue
        listeners.append(_listener(item))
    names = [one.name for one in listeners]
    for name in {name for name in names if name and names.count(name) > 1}:
        spec.error(f"two listeners are named {name!r}", "listeners", "give each a name of its own")
    return kinds.ApiGateway(meta, class_name, tuple(listeners))


def _listener(fields: Fields) -> kinds.ApiListener:
    name = fields.text("name", required=True)
    if name and not _SECTION.match(name):
        fields.error(f"{name[:60]!r} is not a name: a-z, 0-9, '-' and '.'", "name")
    found = fields.get("hostname")
    routes_from: Literal["Same", "All", "Selector"] = "Same"
    selector: dict[str, str] = {}
    allowed = fields.fields("allowedRoutes", ALLOWED)
    if allowed:
        _check_kinds(allowed)
        namespaces = allowed.fields("namespaces", NAMESPACES)
        if namespaces:
            choice = namespaces.text("from", "Same", choices=("Same", "All", "Selector"))
            routes_from = cast('Literal["Same", "All", "Selector"]', choice)
            chosen = namespaces.fields("selector", SELECTOR, required=routes_from == "Selector")
            selector = chosen.labels("matchLabels") if chosen else {}
    return kinds.ApiListener(
        name=name,
        port=fields.integer("port", 1, 65535, required=True),
        hostname=hostname(found) if found else "",
        routes_from=routes_from,
        selector=selector,
    )


def _check_kinds(allowed: Fields) -> None:
    kinds_there = [item.text("kind", required=True) for item in allowed.all_fields("kinds", ALLOWED_KIND)]
    if kinds_there and "HTTPRoute" not in kinds_there:
        allowed.not_carried_out("kinds", "allow HTTPRoute", "a listener without HTTPRoutes")


def hostname(value: Value) -> str:
    """A host name, its first label may be `*`; noted as a mistake otherwise."""
    text = value.text()
    if text and not _HOSTNAME.match(text):
        value.error(f"{text[:60]!r} is not a host name", 'write a name such as "shop.example" or "*.example"')
        return ""
    return text
