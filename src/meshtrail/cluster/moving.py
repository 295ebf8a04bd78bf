"""The same objects in another namespace, so that several people can share a cluster.

The overlays name the namespace `meshtrail` and take every host at the gateway. In a namespace of another name the
gateway tells the applications apart by host: there it is `<namespace>.test`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from meshtrail.cluster.application import DEFAULT_NAMESPACE

CLUSTER_WIDE = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume", "GatewayClass"}
)


def host_of(namespace: str) -> str:
    """The host under which the gateway takes the requests of a namespace; empty: any."""
    return "" if namespace == DEFAULT_NAMESPACE else f"{namespace}.test"


def moved(objects: Iterable[Any], namespace: str) -> list[dict[str, Any]]:
    """Copies: what is in `meshtrail`, or in no namespace, is in `namespace`; what is elsewhere stays there."""
    return [_moved(json.loads(json.dumps(one)), namespace) for one in objects]


def _moved(one: dict[str, Any], namespace: str) -> dict[str, Any]:
    meta = one["metadata"]
    if one["kind"] == "Namespace":
        if meta["name"] == DEFAULT_NAMESPACE:
            meta["name"] = namespace
        return one
    if one["kind"] in CLUSTER_WIDE:
        return one
    if meta.get("namespace", DEFAULT_NAMESPACE) != DEFAULT_NAMESPACE:
        return one
    meta["namespace"] = namespace
    host = host_of(namespace)
    if host:
        one = _renamed(one, namespace)
        spec = one.get("spec") or {}
        if one["kind"] == "Gateway" and one["apiVersion"].startswith("networking.istio.io/"):
            for server in spec["servers"]:
                server["hosts"] = [host if name == "*" else name for name in server["hosts"]]
        elif one["kind"] in ("VirtualService", "HTTPRoute"):
            for field in ("hosts", "hostnames"):
                if spec.get(field) == ["*"]:
                    spec[field] = [host]
    return one


def _renamed(value: Any, namespace: str) -> Any:
    """The full names of services and identities of the namespace, wherever they stand."""
    if isinstance(value, dict):
        return {key: _renamed(item, namespace) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, namespace) for item in value]
    if isinstance(value, str):
        for form in (".{}.svc", "/ns/{}/"):
            value = value.replace(form.format(DEFAULT_NAMESPACE), form.format(namespace))
    return value
