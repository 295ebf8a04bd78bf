"""From a YAML document to a typed object: which kinds there are, and who reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from meshtrail.errors import Problem, Warnings
from meshtrail.manifests import (
    apigateway,
    authorization,
    destinationrule,
    envoyfilter,
    gateway,
    httproute,
    kinds,
    kubernetes,
    meshconfig,
    telemetry,
    virtualservice,
    workload,
)
from meshtrail.manifests.document import Map, Mark
from meshtrail.manifests.reader import Fields, Message, Scope, Value, closest, kind_of

Reader = Callable[[Fields, kinds.Meta], kinds.Resource]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that is read: its API groups and versions, and its reader."""

    api: tuple[str, ...]
    message: Message
    read: Reader
    namespaced: bool = True


def _istio(group: str, *versions: str) -> tuple[str, ...]:
    return tuple(f"{group}.istio.io/{version}" for version in versions)


_NETWORKING = _istio("networking", "v1", "v1beta1", "v1alpha3")
_GATEWAY_API = (f"{apigateway.GROUP}/v1", f"{apigateway.GROUP}/v1beta1")

KINDS: dict[str, Kind] = {
    "Namespace": Kind(("v1",), kubernetes.NAMESPACE, kubernetes.namespace, namespaced=False),
    "Service": Kind(("v1",), kubernetes.SERVICE, kubernetes.service),
    "Deployment": Kind(("apps/v1",), workload.DEPLOYMENT, workload.deployment),
    "ConfigMap": Kind(("v1",), kubernetes.CONFIG_MAP, kubernetes.config_map),
    "Secret": Kind(("v1",), kubernetes.SECRET, kubernetes.secret),
    "Gateway": Kind(_NETWORKING, gateway.GATEWAY, gateway.gateway),
    "VirtualService": Kind(_NETWORKING, virtualservice.VIRTUAL_SERVICE, virtualservice.virtual_service),
    "DestinationRule": Kind(_NETWORKING, destinationrule.DESTINATION_RULE, destinationrule.destination_rule),
    "ServiceEntry": Kind(_NETWORKING, gateway.SERVICE_ENTRY, gateway.service_entry),
    "EnvoyFilter": Kind(_istio("networking", "v1alpha3"), envoyfilter.ENVOY_FILTER, envoyfilter.envoy_filter),
    "Telemetry": Kind(_istio("telemetry", "v1", "v1alpha1"), telemetry.TELEMETRY, telemetry.telemetry),
    "IstioOperator": Kind(_istio("install", "v1alpha1"), meshconfig.ISTIO_OPERATOR, meshconfig.istio_operator),
    kinds.API_GATEWAY: Kind(_GATEWAY_API, apigateway.API_GATEWAY, apigateway.api_gateway),
    "AuthorizationPolicy": Kind(
        _istio("security", "v1", "v1beta1"), authorization.AUTHORIZATION_POLICY, authorization.authorization_policy
    ),
    "HTTPRoute": Kind(_GATEWAY_API, httproute.HTTP_ROUTE, httproute.http_route),
}

# Nothing of the traffic or its traces depends on these on one machine: taken and left alone.
WITHOUT_MEANING: dict[str, str] = {
    "ServiceAccount": "processes have no account of the cluster",
    "Role": "no API server to ask",
    "RoleBinding": "no API server to ask",
    "ClusterRole": "no API server to ask",
    "ClusterRoleBinding": "no API server to ask",
    "PodDisruptionBudget": "no node is drained",
    "HorizontalPodAutoscaler": "replicas are not scaled",
    "PriorityClass": "nothing is scheduled",
    "ResourceQuota": "nothing is scheduled",
    "LimitRange": "nothing is scheduled",
    "NetworkPolicy": "everything binds to loopback",
    "CustomResourceDefinition": "the kinds are built in",
    "PersistentVolumeClaim": "only a volume that a Deployment mounts would matter, and that is refused there",
    "PersistentVolume": "as PersistentVolumeClaim",
    "StorageClass": "as PersistentVolumeClaim",
    "PeerAuthentication": "there is no mutual TLS on one machine, and nothing that comes from another one",
    "GatewayClass": "the class istio is built in",
}

# Known to Kubernetes or Istio, with an effect that the local mesh does not have.
NOT_CARRIED_OUT: dict[str, str] = {
    "Pod": "use a Deployment",
    "ReplicaSet": "use a Deployment",
    "StatefulSet": "use a Deployment",
    "DaemonSet": "use a Deployment",
    "Job": "",
    "CronJob": "",
    "Ingress": "use a Gateway and a VirtualService",
    "Endpoints": "use a ServiceEntry",
    "EndpointSlice": "use a ServiceEntry",
    "GRPCRoute": "use an HTTPRoute: gRPC is HTTP/2",
    "TCPRoute": "",
    "TLSRoute": "",
    "ReferenceGrant": "put the route into the namespace of its backend",
    "Sidecar": "",
    "WorkloadEntry": "use a ServiceEntry with endpoints",
    "WorkloadGroup": "use a Deployment",
    "ProxyConfig": "",
    "WasmPlugin": "",
    "RequestAuthentication": "",
}

_API_VERSION = re.compile(r"(?:[a-z0-9.-]+/)?v[0-9]+(?:(?:alpha|beta)[0-9]+)?\Z", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\Z", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\Z", re.ASCII)


def read_object(
    raw: object, mark: Mark, problems: list[Problem], warnings: Warnings, default_namespace: str, lenient: bool
) -> kinds.Resource | None:
    """One document as typed object; None when its kind has no meaning here or a problem was found and noted."""
    before = len(problems)
    scope = Scope("", problems, warnings, lenient)
    if not isinstance(raw, Map):
        scope.error(f"a manifest is a mapping, not {kind_of(raw)}", mark)
        return None
    kind_name, api = raw.get("kind"), raw.get("apiVersion")
    identity = _Identity(raw)
    scope.object = identity.ref
    if not isinstance(kind_name, str) or not kind_name:
        scope.error("is required" if kind_name is None else "must be a string", raw.where("kind"), "kind")
        return None
    if not isinstance(api, str) or not api:
        scope.error("is required" if api is None else "must be a string", raw.where("apiVersion"), "apiVersion")
        return None
    if not _API_VERSION.match(api):
        scope.error(f"{api[:60]!r} is not an API version", raw.where("apiVersion"), "apiVersion")
        return None
    # The one kind that is written as another one; its own name is kubectl's, no manifest's.
    kind = None if kind_name == kinds.API_GATEWAY else KINDS.get(kind_name)
    if kind_name == "Gateway" and api.startswith(f"{apigateway.GROUP}/"):
        kind_name, kind = kinds.API_GATEWAY, KINDS[kinds.API_GATEWAY]
    if kind is None:
        _unknown_kind(kind_name, raw, scope)
        return None
    if api not in kind.api:
        scope.error(f"{api} has no {kind_name}", raw.where("apiVersion"), "apiVersion", f"use {kind.api[0]}")
        return None
    top = Fields(Value(scope, raw, "", mark), kind.message)
    meta = read_meta(top, kind_name, kind.namespaced, default_namespace)
    scope.object = meta.ref
    if meshconfig.is_mesh_config_map(kind_name, meta.namespace, meta.name):
        found: kinds.Resource = meshconfig.config_map_istio(top, meta)
    else:
        found = kind.read(top, meta)
    return found if len(problems) == before else None


class _Identity:
    """What an object calls itself, before anything is checked."""

    def __init__(self, raw: Map) -> None:
        meta = raw.get("metadata")
        name = meta.get("name") if isinstance(meta, dict) else None
        namespace = meta.get("namespace") if isinstance(meta, dict) else None
        kind = raw.get("kind")
        where = "/".join(part for part in (namespace, name) if isinstance(part, str))
        self.ref = f"{kind} {where}".strip()[:120] if isinstance(kind, str) else where[:120]


def _unknown_kind(name: str, raw: Map, scope: Scope) -> None:
    if name in WITHOUT_MEANING:
        return
    mark = raw.where("kind")
    if name in NOT_CARRIED_OUT:
        scope.not_carried_out(mark, "kind", NOT_CARRIED_OUT[name], f"kind {name}")
        return
    near = closest(name, [*KINDS, *WITHOUT_MEANING, *NOT_CARRIED_OUT])
    hint = f"did you mean {near!r}? " if near else ""
    scope.error(f"unknown kind {name[:60]!r}", mark, "kind", f"{hint}supported: {', '.join(sorted(KINDS))}")


def read_meta(top: Fields, kind: str, namespaced: bool, default_namespace: str) -> kinds.Meta:
    meta = top.fields("metadata", kubernetes.META, required=True)
    mark = top.value.mark
    if meta is None:
        return kinds.Meta(kind, "", default_namespace if namespaced else "", file=mark.file, line=mark.line)
    name, namespace = meta.text("name", required=True), meta.text("namespace")
    if name and not _NAME.match(name):
        meta.error(f"{name[:60]!r} is not a name: a-z, 0-9, '-' and '.'", "name")
    if namespace and not _NAMESPACE.match(namespace):
        meta.error(f"{namespace[:60]!r} is not the name of a namespace: a-z, 0-9 and '-'", "namespace")
    return kinds.Meta(
        kind=kind,
        name=name,
        namespace=(namespace or default_namespace) if namespaced else "",
        labels=kubernetes.read_labels(meta),
        annotations=meta.labels("annotations"),
        file=mark.file,
        line=mark.line,
        raw=top.raw,
    )
