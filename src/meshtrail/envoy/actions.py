"""What a VirtualService route does with a request, as Envoy's route, redirect or direct response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshtrail.envoy.clusters import cluster_name, seconds
from meshtrail.envoy.proxy import TYPE, Config
from meshtrail.manifests import kinds
from meshtrail.mesh import Mesh, names

DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
FAULT_FILTER = "envoy.filters.http.fault"
NO_TIMEOUT = "0s"
"""A route's timeout that never ends a request."""


def default_retry_policy() -> Config:
    """Istio's: two retries of what cannot have been carried out, not at the host that just failed."""
    return {
        "retry_on": DEFAULT_RETRY_ON,
        "num_retries": 2,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": f"{TYPE}/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": "5",
    }


def retry_policy(retries: kinds.Retries | None) -> Config | None:
    """None: retries are switched off."""
    policy = default_retry_policy()
    if retries is None:
        return policy
    if retries.attempts <= 0:
        return None
    policy["num_retries"] = retries.attempts
    if retries.retry_on:
        # Istio takes numbers in retryOn for status codes.
        parts = [part.strip() for part in retries.retry_on.split(",") if part.strip()]
        codes = [int(part) for part in parts if part.isdigit()]
        words = [part for part in parts if not part.isdigit()]
        if codes and "retriable-status-codes" not in words:
            words.append("retriable-status-codes")
        policy["retry_on"] = ",".join(words)
        if codes:
            policy["retriable_status_codes"] = codes
    if retries.per_try_timeout is not None:
        policy["per_try_timeout"] = seconds(retries.per_try_timeout)
    if retries.retry_remote_localities:
        policy["retry_priority"] = {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": f"{TYPE}/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": 2,
            },
        }
    return policy


def destination_cluster(mesh: Mesh, namespace: str, destination: kinds.Destination, listener_port: int) -> str:
    """The cluster of a destination: its port, else the service's only one, else the listener's."""
    host = names.istio_host(destination.host, namespace)
    service = mesh.services.get(host)
    port = destination.port
    if port is None:
        port = service.ports[0].number if service and len(service.ports) == 1 else listener_port
    return cluster_name(host, port, destination.subset)


def forward(mesh: Mesh, namespace: str, route: kinds.HttpRoute, listener_port: int) -> tuple[Config, kinds.Headers]:
    """The `route` action, and the header operations of a sole destination (they belong to the whole route)."""
    action: Config = {}
    only = kinds.Headers()
    entries = [entry for entry in route.route if entry.weight > 0] if len(route.route) > 1 else list(route.route)
    if len(entries) == 1:
        action["cluster"] = destination_cluster(mesh, namespace, entries[0].destination, listener_port)
        only = entries[0].headers
    else:
        action["weighted_clusters"] = {
            "clusters": [
                {
                    "name": destination_cluster(mesh, namespace, entry.destination, listener_port),
                    "weight": entry.weight,
                    **_without_host(header_operations(entry.headers)),
                }
                for entry in entries
            ]
        }
    if route.missing_backend_status == 500:
        action["cluster_not_found_response_code"] = "INTERNAL_SERVER_ERROR"
    timeout = seconds(route.timeout or 0)
    action["timeout"] = timeout
    policy = retry_policy(route.retries)
    if policy is not None:
        action["retry_policy"] = policy
    action |= grpc_timeout(timeout)
    action |= _rewrite(route.rewrite)
    if route.mirrors:
        action["request_mirror_policies"] = [
            {
                "cluster": destination_cluster(mesh, namespace, mirror.destination, listener_port),
                "runtime_fraction": {"default_value": percent(mirror.percentage)},
                # A mirrored request makes no spans, neither here nor behind.
                "trace_sampled": False,
                "disable_shadow_host_suffix_append": True,
            }
            for mirror in route.mirrors
        ]
    hashed = _hash_policy(mesh, namespace, route)
    if hashed:
        action["hash_policy"] = hashed
    return action, only


def grpc_timeout(timeout: str) -> Config:
    """How far a client's grpc-timeout counts: no longer than `timeout`, as far as it likes when that is `0s`.

    istiod writes `max_grpc_timeout`. Envoy calls that deprecated, in a log line for each route, but with the newer
    field it does not keep to the route's own timeout (envoy issue 15530); so that one is for routes without a timeout.
    """
    return (
        {"max_stream_duration": {"grpc_timeout_header_max": timeout}}
        if timeout == NO_TIMEOUT
        else {"max_grpc_timeout": timeout}
    )


def _rewrite(rewrite: kinds.Rewrite | None) -> Config:
    if rewrite is None:
        return {}
    result: Config = {}
    if rewrite.uri_regex is not None:
        pattern, substitution = rewrite.uri_regex
        result["regex_rewrite"] = {"pattern": {"regex": pattern}, "substitution": substitution}
    elif rewrite.uri:
        result["prefix_rewrite"] = rewrite.uri
    if rewrite.authority:
        result["host_rewrite_literal"] = rewrite.authority
    return result


def redirect(entry: kinds.Redirect, listener_port: int) -> Config:
    result: Config = {"response_code": REDIRECT_CODES[entry.code]}
    if entry.prefix is not None:
        result["prefix_rewrite"] = entry.prefix
    elif entry.uri:
        result["path_redirect"] = entry.uri
    if entry.authority:
        result["host_redirect"] = entry.authority
    if entry.scheme:
        result["scheme_redirect"] = entry.scheme
    port = listener_port if entry.port_of_request else entry.port
    # Istio leaves out the port that the scheme has anyway.
    if port is not None and (port, entry.scheme or "http") not in ((80, "http"), (443, "https")):
        result["port_redirect"] = port
    return result


def direct_response(entry: kinds.DirectResponse) -> Config:
    result: Config = {"status": entry.status}
    if entry.body:
        result["body"] = {"inline_string": entry.body}
    return result


def fault(route: kinds.HttpRoute) -> Config:
    """The fault filter's settings for one route."""
    result: Config = {"@type": f"{TYPE}/envoy.extensions.filters.http.fault.v3.HTTPFault"}
    if route.delay is not None:
        result["delay"] = {
            "fixed_delay": seconds(route.delay.seconds),
            "percentage": percent(route.delay.percentage),
        }
    if route.abort is not None:
        result["abort"] = {"http_status": route.abort.http_status, "percentage": percent(route.abort.percentage)}
    return result


def percent(value: float) -> Config:
    """0 to 100 as a fraction of a million, so that 0.01 % is not lost."""
    return {"numerator": round(value * 10_000), "denominator": "MILLION"}


def header_operations(headers: kinds.Headers) -> Config:
    result: Config = {}
    for kind, operations in (("request", headers.request), ("response", headers.response)):
        options = [_header_option(n, v, "OVERWRITE_IF_EXISTS_OR_ADD") for n, v in sorted(operations.set)]
        options += [_header_option(n, v, "APPEND_IF_EXISTS_OR_ADD") for n, v in sorted(operations.add)]
        if options:
            result[f"{kind}_headers_to_add"] = options
        if operations.remove:
            result[f"{kind}_headers_to_remove"] = list(operations.remove)
    return result


def authority_set(headers: kinds.Headers) -> str:
    """The host that `headers.request.set` gives: Istio turns it into a rewrite, Envoy refuses it as a header."""
    return next((v for n, v in headers.request.set if n.lower() in ("host", ":authority", "authority")), "")


def _without_host(operations: Config) -> Config:
    kept = [
        option
        for option in operations.get("request_headers_to_add", [])
        if option["header"]["key"].lower() not in ("host", ":authority", "authority")
    ]
    result = {name: value for name, value in operations.items() if name != "request_headers_to_add"}
    return {**result, **({"request_headers_to_add": kept} if kept else {})}


def combined_operations(*parts: kinds.Headers) -> Config:
    """The operations of a route and of its sole destination together."""
    merged = kinds.Headers(
        request=_join([part.request for part in parts]), response=_join([part.response for part in parts])
    )
    return _without_host(header_operations(merged))


def _join(parts: list[kinds.HeaderOperations]) -> kinds.HeaderOperations:
    return kinds.HeaderOperations(
        set=tuple(item for part in parts for item in part.set),
        add=tuple(item for part in parts for item in part.add),
        remove=tuple(item for part in parts for item in part.remove),
    )


def _header_option(name: str, value: str, append: str) -> Config:
    return {"header": {"key": name, "value": value}, "append_action": append, "keep_empty_value": True}


def _hash_policy(mesh: Mesh, namespace: str, route: kinds.HttpRoute) -> list[Config]:
    for entry in route.route:
        policies = destination_hash(mesh, names.istio_host(entry.destination.host, namespace), entry.destination.subset)
        if policies:
            return policies
    return []


def destination_hash(mesh: Mesh, fqdn: str, subset: str = "") -> list[Config]:
    """What a consistent-hash balancer of the destination hashes; empty: it has none."""
    rule = mesh.destination_rules.get(fqdn)
    if rule is None:
        return []
    chosen = next((item.traffic_policy for item in rule.subsets if item.name == subset), None)
    settings = (chosen.lb_consistent_hash if chosen else None) or rule.traffic_policy.lb_consistent_hash
    return hash_policy(settings) if settings else []


def hash_policy(settings: Mapping[str, Any]) -> list[Config]:
    if settings.get("httpHeaderName"):
        return [{"header": {"header_name": settings["httpHeaderName"]}}]
    if settings.get("httpQueryParameterName"):
        return [{"query_parameter": {"name": settings["httpQueryParameterName"]}}]
    cookie = settings.get("httpCookie")
    if cookie:
        entry: Config = {"name": cookie["name"]}
        if cookie.get("ttl") is not None:
            entry["ttl"] = seconds(cookie["ttl"])
        if cookie.get("path"):
            entry["path"] = cookie["path"]
        return [{"cookie": entry}]
    if settings.get("useSourceIp"):
        return [{"connection_properties": {"source_ip": True}}]
    return []
