"""What the local mesh understands of Kubernetes and Istio, as plain data.

One dataclass for each kind, only with the fields that are carried out. The readers fill them (and refuse every other
field); the mesh model is built from them. Durations are seconds, percentages 0 to 100.
"""

from __future__ import annotations

from meshtrail.manifests.kinds.authorization import AuthorizationPolicy, AuthorizationRule, OneOf
from meshtrail.manifests.kinds.gatewayapi import API_GATEWAY, ApiGateway, ApiListener, ApiRoute, ParentRef
from meshtrail.manifests.kinds.istio import (
    CustomTag,
    Destination,
    DestinationRule,
    DirectResponse,
    EnvoyFilter,
    FaultAbort,
    FaultDelay,
    Gateway,
    GatewayServer,
    HeaderOperations,
    Headers,
    HttpMatch,
    HttpRoute,
    MeshConfig,
    Mirror,
    Redirect,
    Retries,
    Rewrite,
    RouteDestination,
    RoutePatch,
    ServiceEntry,
    ServiceEntryPort,
    StringMatch,
    Subset,
    Telemetry,
    Tracing,
    TracingProvider,
    TrafficPolicy,
    VirtualService,
)
from meshtrail.manifests.kinds.kubernetes import (
    ConfigMap,
    Container,
    ContainerPort,
    Deployment,
    EnvFrom,
    EnvVar,
    HttpProbe,
    KeyRef,
    Namespace,
    Service,
    ServicePort,
    Volume,
    VolumeMount,
)
from meshtrail.manifests.kinds.meta import Meta

__all__ = [
    "API_GATEWAY",
    "ApiGateway",
    "ApiListener",
    "ApiRoute",
    "AuthorizationPolicy",
    "AuthorizationRule",
    "ConfigMap",
    "Container",
    "ContainerPort",
    "CustomTag",
    "Deployment",
    "Destination",
    "DestinationRule",
    "DirectResponse",
    "EnvFrom",
    "EnvVar",
    "EnvoyFilter",
    "FaultAbort",
    "FaultDelay",
    "Gateway",
    "GatewayServer",
    "HeaderOperations",
    "Headers",
    "HttpMatch",
    "HttpProbe",
    "HttpRoute",
    "Key",
    "KeyRef",
    "MeshConfig",
    "Meta",
    "Mirror",
    "Namespace",
    "OneOf",
    "ParentRef",
    "Redirect",
    "Resource",
    "Retries",
    "Rewrite",
    "RouteDestination",
    "RoutePatch",
    "Service",
    "ServiceEntry",
    "ServiceEntryPort",
    "ServicePort",
    "StringMatch",
    "Subset",
    "Telemetry",
    "Tracing",
    "TracingProvider",
    "TrafficPolicy",
    "VirtualService",
    "Volume",
    "VolumeMount",
    "key",
]

Resource = (
    Namespace
    | Service
    | Deployment
    | ConfigMap
    | Gateway
    | VirtualService
    | DestinationRule
    | Telemetry
    | ServiceEntry
    | EnvoyFilter
    | MeshConfig
    | ApiGateway
    | ApiRoute
    | AuthorizationPolicy
)

Key = tuple[str, str, str]


def key(resource: Resource) -> Key:
    """(kind, namespace, name): what `kubectl apply` identifies an object by."""
    return (resource.meta.kind, resource.meta.namespace, resource.meta.name)
