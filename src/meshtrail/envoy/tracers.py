"""The tracing block of a connection manager, as istiod writes it for a provider and a Telemetry."""

from __future__ import annotations

from meshtrail.envoy.clusters import cluster_name
from meshtrail.envoy.proxy import TYPE, Config
from meshtrail.manifests import kinds
from meshtrail.mesh import ResolvedTracing

CLUSTER_ID = "Kubernetes"
ZIPKIN_ENDPOINT = "/api/v2/spans"


def tracing(
    resolved: ResolvedTracing,
    *,
    mesh_id: str,
    namespace: str,
    app: str,
    revision: str,
    service_name: str,
    spawn_upstream_span: bool,
) -> Config:
    """The `tracing` field of a connection manager."""
    tags = [_custom_tag(tag) for tag in sorted(resolved.custom_tags, key=lambda tag: tag.name)]
    if resolved.istio_tags:
        own = {
            "istio.canonical_revision": revision,
            "istio.canonical_service": app,
            "istio.cluster_id": CLUSTER_ID,
            "istio.mesh_id": mesh_id,
            "istio.namespace": namespace,
        }
        tags += [{"tag": name, "literal": {"value": value}} for name, value in own.items()]
    result: Config = {
        "client_sampling": {"value": 100},
        "random_sampling": {"value": resolved.sampling},
        "overall_sampling": {"value": 100},
        "custom_tags": tags,
        "provider": provider(resolved.provider, service_name),
    }
    if resolved.provider.max_tag_length:
        result["max_path_tag_length"] = resolved.provider.max_tag_length
    if spawn_upstream_span:
        result["spawn_upstream_span"] = True
    if not resolved.propagate:
        result["no_context_propagation"] = True
    return result


def request_id_extension(resolved: ResolvedTracing | None) -> Config:
    """Whether x-request-id carries the sampling decision; without tracing istiod leaves Envoy's default."""
    config: Config = {"@type": f"{TYPE}/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"}
    if resolved is not None:
        config["use_request_id_for_trace_sampling"] = resolved.use_request_id
    return {"typed_config": config}


def provider(entry: kinds.TracingProvider, service_name: str) -> Config:
    """The tracer. Its cluster is named here and nowhere checked by `envoy --mode validate`."""
    cluster = cluster_name(entry.service, entry.port)
    if entry.type == "zipkin":
        config: Config = {
            "@type": f"{TYPE}/envoy.config.trace.v3.ZipkinConfig",
            "collector_cluster": cluster,
            "collector_endpoint": entry.http_path or ZIPKIN_ENDPOINT,
            "collector_endpoint_version": "HTTP_JSON",
            "collector_hostname": entry.service,
            "trace_id_128bit": True,
            "shared_span_context": False,
        }
        if entry.trace_context != "USE_B3":
            config["trace_context_option"] = entry.trace_context
        return {"name": "envoy.tracers.zipkin", "typed_config": config}
    config = {"@type": f"{TYPE}/envoy.config.trace.v3.OpenTelemetryConfig", "service_name": service_name}
    if entry.http_path:
        uri = f"http://{entry.service}/{entry.http_path.lstrip('/')}"
        config["http_service"] = {"http_uri": {"uri": uri, "cluster": cluster, "timeout": "10s"}}
    else:
        config["grpc_service"] = {"envoy_grpc": {"cluster_name": cluster, "authority": entry.service}}
    return {"name": "envoy.tracers.opentelemetry", "typed_config": config}


def _custom_tag(tag: kinds.CustomTag) -> Config:
    if tag.type == "literal":
        return {"tag": tag.name, "literal": {"value": tag.value}}
    if tag.type == "formatter":
        return {"tag": tag.name, "value": tag.value}
    kind = "request_header" if tag.type == "header" else "environment"
    value: Config = {"name": tag.value}
    if tag.default:
        value["default_value"] = tag.default
    return {"tag": tag.name, kind: value}
