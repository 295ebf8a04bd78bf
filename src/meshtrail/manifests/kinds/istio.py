"""Istio: routes, policies, tracing. Durations are seconds, percentages 0 to 100."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from meshtrail.manifests.kinds.meta import Meta


@dataclass(frozen=True, slots=True)
class GatewayServer:
    port: int
    name: str
    protocol: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gateway:
    meta: Meta
    selector: Mapping[str, str]
    servers: tuple[GatewayServer, ...]


@dataclass(frozen=True, slots=True)
class StringMatch:
    """Istio's StringMatch; `type` "present" is the empty header match `{}`."""

    type: Literal["exact", "prefix", "regex", "present"]
    value: str = ""


@dataclass(frozen=True, slots=True)
class HttpMatch:
    """All conditions must hold. `gateways` empty: those of the VirtualService. `whole_segments`: a prefix ends where a
    segment of the path ends (an HTTPRoute's).
    """

    name: str = ""
    uri: StringMatch | None = None
    ignore_uri_case: bool = False
    method: StringMatch | None = None
    authority: StringMatch | None = None
    scheme: StringMatch | None = None
    headers: tuple[tuple[str, StringMatch], ...] = ()
    without_headers: tuple[tuple[str, StringMatch], ...] = ()
    query: tuple[tuple[str, StringMatch], ...] = ()
    port: int | None = None
    gateways: tuple[str, ...] = ()
    source_labels: Mapping[str, str] = field(default_factory=dict)
    source_namespace: str = ""
    whole_segments: bool = False


@dataclass(frozen=True, slots=True)
class HeaderOperations:
    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Headers:
    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()


@dataclass(frozen=True, slots=True)
class Destination:
    """`host` as written (short or full name); `port` None: the service's only port."""

    host: str
    subset: str = ""
    port: int | None = None


@dataclass(frozen=True, slots=True)
class RouteDestination:
    destination: Destination
    weight: int = 0
    headers: Headers = Headers()


@dataclass(frozen=True, slots=True)
class Redirect:
    """`prefix` (None: none) replaces the prefix that was matched, `uri` the whole path. `port_of_request`: the new
    address has the port that the request came to.
    """

    uri: str = ""
    authority: str = ""
    scheme: str = ""
    port: int | None = None
    code: int = 301
    prefix: str | None = None
    port_of_request: bool = False


@dataclass(frozen=True, slots=True)
class Rewrite:
    uri: str = ""
    authority: str = ""
    uri_regex: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """`attempts` 0 switches retries off."""

    attempts: int
    per_try_timeout: float | None = None
    retry_on: str = ""
    retry_remote_localities: bool = False


@dataclass(frozen=True, slots=True)
class FaultDelay:
    seconds: float
    percentage: float


@dataclass(frozen=True, slots=True)
class FaultAbort:
    http_status: int
    percentage: float


@dataclass(frozen=True, slots=True)
class Mirror:
    destination: Destination
    percentage: float = 100.0


@dataclass(frozen=True, slots=True)
class DirectResponse:
    status: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One entry of `spec.http`; `field` is its path (`spec.http[0]`) for errors.

    `missing_backend_status` is the answer when the destination does not exist; None: Envoy's 503.
    """

    field: str
    name: str = ""
    matches: tuple[HttpMatch, ...] = ()
    route: tuple[RouteDestination, ...] = ()
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    rewrite: Rewrite | None = None
    timeout: float | None = None
    retries: Retries | None = None
    delay: FaultDelay | None = None
    abort: FaultAbort | None = None
    mirrors: tuple[Mirror, ...] = ()
    headers: Headers = Headers()
    missing_backend_status: int | None = None


@dataclass(frozen=True, slots=True)
class VirtualService:
    """`generated_name` is set when it was made from HTTPRoutes: the name that Istio gives it. `meta` is then the
    HTTPRoute's.
    """

    meta: Meta
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    http: tuple[HttpRoute, ...]
    generated_name: str = ""


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """`lb` is Istio's simple policy name; None in a field: Istio's default.

    `connection_pool` and `outlier_detection` hold Istio's own field names (camelCase) with numbers in their
    places and durations in seconds: {"maxConnections": 1, "http1MaxPendingRequests": 1, ...},
    {"consecutive5xxErrors": 2, "interval": 1.0, "baseEjectionTime": 30.0, "maxEjectionPercent": 100, ...}.
    `tls_sni` empty: the host's name. `tls_verify` False takes any certificate.
    """

    lb: str = ""
    lb_consistent_hash: Mapping[str, Any] | None = None
    connection_pool: Mapping[str, Any] = field(default_factory=dict)
    outlier_detection: Mapping[str, Any] = field(default_factory=dict)
    tls_mode: str = ""
    tls_sni: str = ""
    tls_verify: bool = True


@dataclass(frozen=True, slots=True)
class Subset:
    name: str
    labels: Mapping[str, str]
    traffic_policy: TrafficPolicy = TrafficPolicy()


@dataclass(frozen=True, slots=True)
class DestinationRule:
    meta: Meta
    host: str
    subsets: tuple[Subset, ...]
    traffic_policy: TrafficPolicy = TrafficPolicy()


@dataclass(frozen=True, slots=True)
class CustomTag:
    """`type` literal (value), header (value = header name, default), environment (value = variable, default), formatter
    (value = as in an access log, `%PATH(NQ)%`)."""

    name: str
    type: Literal["literal", "header", "environment", "formatter"]
    value: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class Tracing:
    """One entry of `spec.tracing`; None: not said here, the wider scope decides."""

    providers: tuple[str, ...] = ()
    random_sampling_percentage: float | None = None
    disable_span_reporting: bool | None = None
    disable_context_propagation: bool | None = None
    use_request_id_for_trace_sampling: bool | None = None
    enable_istio_tags: bool | None = None
    custom_tags: tuple[CustomTag, ...] = ()
    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] = "CLIENT_AND_SERVER"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """`selector` empty: the whole namespace; in the root namespace: the whole mesh."""

    meta: Meta
    selector: Mapping[str, str]
    tracing: tuple[Tracing, ...]


@dataclass(frozen=True, slots=True)
class ServiceEntryPort:
    port: int
    name: str
    protocol: str
    target_port: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A host outside the mesh; `endpoints` are addresses (empty: the hosts themselves, by DNS)."""

    meta: Meta
    hosts: tuple[str, ...]
    ports: tuple[ServiceEntryPort, ...]
    resolution: str
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutePatch:
    """One configPatch of an EnvoyFilter with applyTo HTTP_ROUTE: `value` is merged into (or put before) the route.

    `context` GATEWAY, SIDECAR_INBOUND, SIDECAR_OUTBOUND or ANY; `route_name` and `vhost_name` empty: any.
    """

    operation: Literal["MERGE", "INSERT_FIRST"]
    context: str
    value: Mapping[str, Any]
    route_name: str = ""
    vhost_name: str = ""
    port: int | None = None
    field: str = ""


@dataclass(frozen=True, slots=True)
class EnvoyFilter:
    meta: Meta
    workload_selector: Mapping[str, str]
    patches: tuple[RoutePatch, ...]


@dataclass(frozen=True, slots=True)
class TracingProvider:
    """An entry of meshConfig.extensionProviders that traces.

    `trace_context` only for zipkin: USE_B3 or USE_B3_WITH_W3C_PROPAGATION. `max_tag_length` None: Envoy's 256.
    """

    name: str
    type: Literal["opentelemetry", "zipkin"]
    service: str
    port: int
    http_path: str = ""
    trace_context: str = "USE_B3"
    max_tag_length: int | None = None


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """The mesh configuration. Defaults are Istio's own. `default_sampling` is Istio's 1 %."""

    meta: Meta
    providers: tuple[TracingProvider, ...] = ()
    other_providers: tuple[str, ...] = ()
    default_tracing_providers: tuple[str, ...] = ()
    enable_tracing: bool = True
    default_sampling: float = 1.0
    root_namespace: str = "istio-system"
    trust_domain: str = "cluster.local"
    access_log_file: str = ""
