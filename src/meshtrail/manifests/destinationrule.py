"""Istio's DestinationRule: subsets, load balancing, connection limits, outlier detection."""

from __future__ import annotations

from typing import Any

from meshtrail.manifests import kinds
from meshtrail.manifests.gateway import check_export
from meshtrail.manifests.kubernetes import OBJECT
from meshtrail.manifests.reader import Fields, message

DESTINATION_RULE = message("DestinationRule", f"{OBJECT} spec", inert="status")
SPEC = message(
    "DestinationRule.spec",
    "host subsets trafficPolicy exportTo",
    refused={"workloadSelector": "the rule holds for every caller"},
)
SUBSET = message("DestinationRule.spec.subsets[]", "name labels trafficPolicy")
POLICY = message(
    "trafficPolicy",
    "loadBalancer connectionPool outlierDetection tls",
    refused={
        "portLevelSettings": "give the policy for the whole host",
        "tunnel": "",
        "proxyProtocol": "",
        "retryBudget": "limit retries with connectionPool.http.maxRetries",
    },
)
LOAD_BALANCER = message(
    "trafficPolicy.loadBalancer",
    "simple consistentHash",
    refused={
        "localityLbSetting": "there is one locality",
        "warmup": "",
        "warmupDurationSecs": "",
    },
)
CONSISTENT_HASH = message(
    "trafficPolicy.loadBalancer.consistentHash",
    "httpHeaderName httpCookie useSourceIp httpQueryParameterName ringHash maglev minimumRingSize",
)
COOKIE = message("trafficPolicy.loadBalancer.consistentHash.httpCookie", "name path ttl", refused="attributes")
RING_HASH = message("trafficPolicy.loadBalancer.consistentHash.ringHash", "minimumRingSize")
MAGLEV = message("trafficPolicy.loadBalancer.consistentHash.maglev", "tableSize")
CONNECTION_POOL = message("trafficPolicy.connectionPool", "tcp http")
TCP = message("trafficPolicy.connectionPool.tcp", "maxConnections connectTimeout", refused="tcpKeepalive idleTimeout "
              "maxConnectionDuration")  # fmt: skip
HTTP = message(
    "trafficPolicy.connectionPool.http",
    "http1MaxPendingRequests http2MaxRequests maxRequestsPerConnection maxRetries idleTimeout",
    refused="h2UpgradePolicy useClientProtocol maxConcurrentStreams",
)
OUTLIER = message(
    "trafficPolicy.outlierDetection",
    "consecutive5xxErrors consecutiveGatewayErrors consecutiveLocalOriginFailures splitExternalLocalOriginErrors "
    "interval baseEjectionTime maxEjectionPercent minHealthPercent",
    refused={"consecutiveErrors": "use consecutive5xxErrors"},
)
TLS = message(
    "trafficPolicy.tls",
    "mode sni insecureSkipVerify",
    refused="clientCertificate privateKey caCertificates credentialName subjectAltNames caCrl",
)

SIMPLE = ("UNSPECIFIED", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "PASSTHROUGH")
_UINT32 = 2**32 - 1
_INT32 = 2**31 - 1


def destination_rule(top: Fields, meta: kinds.Meta) -> kinds.DestinationRule:
    spec = top.fields("spec", SPEC, required=True)
    if spec is None:
        return kinds.DestinationRule(meta, "", ())
    check_export(spec)
    items = spec.all_fields("subsets", SUBSET)
    subsets = tuple(
        kinds.Subset(item.text("name", required=True), item.labels("labels"), traffic_policy(item)) for item in items
    )
    for item, subset in zip(items, subsets, strict=True):
        if [one.name for one in subsets].count(subset.name) > 1:
            item.error(f"the subset {subset.name!r} is given twice", "name")
    return kinds.DestinationRule(meta, spec.text("host", required=True), subsets, traffic_policy(spec))


def traffic_policy(owner: Fields) -> kinds.TrafficPolicy:
    fields = owner.fields("trafficPolicy", POLICY)
    if fields is None:
        return kinds.TrafficPolicy()
    lb, consistent = load_balancer(fields)
    return kinds.TrafficPolicy(
        lb=lb,
        lb_consistent_hash=consistent,
        connection_pool=connection_pool(fields),
        outlier_detection=outlier_detection(fields),
        **tls(fields),
    )


def load_balancer(policy: Fields) -> tuple[str, dict[str, Any] | None]:
    """Istio's simple policy, or what to hash by."""
    fields = policy.fields("loadBalancer", LOAD_BALANCER)
    if fields is None:
        return "", None
    fields.exactly_one("simple", "consistentHash", required=False)
    simple = fields.text("simple", choices=SIMPLE)
    # The older name of the same policy; and UNSPECIFIED leaves the choice to Istio.
    simple = {"LEAST_CONN": "LEAST_REQUEST", "UNSPECIFIED": ""}.get(simple, simple)
    consistent = fields.fields("consistentHash", CONSISTENT_HASH)
    return simple, consistent_hash(consistent) if consistent else None


def consistent_hash(fields: Fields) -> dict[str, Any]:
    """Istio's own field names; `httpCookie.ttl` in seconds."""
    fields.exactly_one("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName")
    fields.exactly_one("ringHash", "maglev", "minimumRingSize", required=False)
    out: dict[str, Any] = {}
    for name in ("httpHeaderName", "httpQueryParameterName"):
        if name in fields:
            out[name] = fields.text(name)
    if "useSourceIp" in fields:
        out["useSourceIp"] = fields.boolean("useSourceIp")
    cookie = fields.fields("httpCookie", COOKIE)
    if cookie is not None:
        ttl = cookie.maybe_duration("ttl", minimum=0.0)
        out["httpCookie"] = {"name": cookie.text("name", required=True)}
        out["httpCookie"] |= {"path": cookie.text("path")} if "path" in cookie else {}
        out["httpCookie"] |= {"ttl": ttl} if ttl is not None else {}
    ring, maglev = fields.fields("ringHash", RING_HASH), fields.fields("maglev", MAGLEV)
    if ring is not None:
        out["ringHash"] = numbers(ring, {"minimumRingSize": (1, 8388608)})
    if maglev is not None:
        out["maglev"] = numbers(maglev, {"tableSize": (1, 5000011)})
    return out | numbers(fields, {"minimumRingSize": (1, 8388608)})


def numbers(fields: Fields, ranges: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """Those of the whole-number fields that are there."""
    return {name: fields.integer(name, *limits) for name, limits in ranges.items() if name in fields}


def connection_pool(policy: Fields) -> dict[str, Any]:
    """Limits under Istio's own names; `connectTimeout` and `idleTimeout` (of HTTP connections) in seconds."""
    fields = policy.fields("connectionPool", CONNECTION_POOL)
    out: dict[str, Any] = {}
    tcp = fields.fields("tcp", TCP) if fields else None
    http = fields.fields("http", HTTP) if fields else None
    if tcp is not None:
        out |= numbers(tcp, {"maxConnections": (1, _INT32)})
        if "connectTimeout" in tcp:
            out["connectTimeout"] = tcp.maybe_duration("connectTimeout")
    if http is not None:
        names = ("http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection", "maxRetries")
        out |= numbers(http, dict.fromkeys(names, (0, _INT32)))
        if "idleTimeout" in http:
            out["idleTimeout"] = http.maybe_duration("idleTimeout")
    return out


def outlier_detection(policy: Fields) -> dict[str, Any]:
    """Istio's own names; `interval` and `baseEjectionTime` in seconds."""
    fields = policy.fields("outlierDetection", OUTLIER)
    if fields is None:
        return {}
    counts = ("consecutive5xxErrors", "consecutiveGatewayErrors", "consecutiveLocalOriginFailures")
    out = numbers(fields, dict.fromkeys(counts, (0, _UINT32)))
    out |= numbers(fields, dict.fromkeys(("maxEjectionPercent", "minHealthPercent"), (0, 100)))
    for name in ("interval", "baseEjectionTime"):
        if name in fields:
            out[name] = fields.maybe_duration(name)
    if "splitExternalLocalOriginErrors" in fields:
        out["splitExternalLocalOriginErrors"] = fields.boolean("splitExternalLocalOriginErrors")
    return out


def tls(policy: Fields) -> dict[str, Any]:
    """The fields of TrafficPolicy that `tls` sets."""
    fields = policy.fields("tls", TLS)
    if fields is None:
        return {}
    mode = fields.text("mode", choices=("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"))
    if mode == "MUTUAL":
        fields.not_carried_out("mode", "use SIMPLE, DISABLE or ISTIO_MUTUAL", f"tls mode {mode}")
    elif mode == "ISTIO_MUTUAL":
        place = fields.get("mode")
        assert place is not None
        place.scope.warn("mutual TLS has no meaning on one machine: plain HTTP is used", place.mark, place.path)
    return {
        "tls_mode": mode,
        "tls_sni": fields.text("sni"),
        "tls_verify": not fields.boolean("insecureSkipVerify"),
    }
