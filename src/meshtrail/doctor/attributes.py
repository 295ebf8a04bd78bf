"""What a span says of its request, under whichever attribute name: Envoy's, or OpenTelemetry's old and new ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from meshtrail.model.span import Scalar, Span

Tags = Mapping[str, Scalar]

_NUMBER = re.compile(r"\d+|[0-9a-f]{8,}(-[0-9a-f]{4,})*")
SUFFIX = ".svc.cluster.local"


def url_of(tags: Tags) -> str:
    return str(tags.get("http.url") or tags.get("url.full") or "")


def split(url: str) -> tuple[str, str]:
    """Authority and path of a URL; the path without its query. Both may be empty."""
    start = url.find("//")
    rest = url[start + 2 :] if start >= 0 else url
    slash = rest.find("/")
    authority, path = (rest, "/") if slash < 0 else (rest[:slash], rest[slash:])
    return authority.lower(), path.partition("?")[0].partition("#")[0]


def path_of(tags: Tags) -> str:
    """The path that was asked for, without its query; "" when the span does not say it."""
    if url := url_of(tags):
        return split(url)[1]
    return str(tags.get("url.path") or tags.get("http.target") or "").partition("?")[0]


@lru_cache(4096)
def endpoint(path: str) -> str:
    """A path with numbers and ids taken out, so that requests to one endpoint share it."""
    return "/".join("*" if _NUMBER.fullmatch(part) else part for part in path.split("/")) if path else ""


def authority_of(tags: Tags) -> str:
    if url := url_of(tags):
        return split(url)[0]
    return str(tags.get("http.host") or tags.get("server.address") or "").lower()


def agent_of(tags: Tags) -> str:
    return str(tags.get("user_agent") or tags.get("user_agent.original") or tags.get("http.user_agent") or "")


def method_of(tags: Tags) -> str:
    return str(tags.get("http.request.method") or tags.get("http.method") or "")


def speaks(span: Span) -> str:
    """The headers that a proxy's tracer reads and writes: OpenTelemetry's W3C, Zipkin's B3."""
    return "W3C" if span.tags.get("otel.scope.name") or span.process_tags.get("telemetry.sdk.name") else "B3"


def short_host(host: str) -> str:
    """`backend.meshtrail.svc.cluster.local` -> `backend.meshtrail`, which is also a sidecar's service name."""
    return host.removesuffix(SUFFIX)


def called_by(span: Span) -> tuple[str, str, bool]:
    """Where a proxy's CLIENT span went: host, subset, and whether the host is a service of the cluster.

    Istio names its clusters `outbound|8080|v1|backend.meshtrail.svc.cluster.local`; a plain Envoy's cluster has any
    name. Without a cluster (Envoy answered by itself) the host is empty.
    """
    return _called(str(span.tags.get("upstream_cluster") or ""))


@lru_cache(4096)
def _called(cluster: str) -> tuple[str, str, bool]:
    if cluster.startswith("outbound"):
        parts = cluster.split("|")
        if len(parts) == 4:
            host = parts[3].partition(";")[0]
            return short_host(host), parts[2], host.endswith(SUFFIX)
    cluster = cluster.partition(";")[0]
    return ("", "", False) if cluster in ("", "-") else (cluster, "", False)


@lru_cache(4096)
def address_of_node(node: str) -> str:
    """The IP in `sidecar~10.244.0.11~pod.namespace~namespace.svc.cluster.local`, "" for another kind of id."""
    parts = node.split("~")
    return parts[1] if len(parts) == 4 else ""


@lru_cache(4096)
def pod_of_node(node: str) -> str:
    """`pod.namespace` of Istio's node id, else the node id itself."""
    parts = node.split("~")
    return parts[2] if len(parts) == 4 else node
