"""The Gateway API's HTTPRoute, read into the routes that a VirtualService has.

Istio translates it the same way: a rule becomes one route for each of its matches, named `namespace.route.number`
unless the rule has a name. What only HTTPRoutes can say stands in fields of `kinds.HttpRoute` that no VirtualService
sets: paths match whole segments, and a backend that is not there answers 500.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from meshtrail.manifests import kinds
from meshtrail.manifests.apigateway import GROUP, hostname
from meshtrail.manifests.kubernetes import OBJECT
from meshtrail.manifests.matching import check_header_name, regex
from meshtrail.manifests.reader import Fields, message
from meshtrail.manifests.routefilters import Filters, backend_filters, read_filters, read_reference

HTTP_ROUTE = message("HTTPRoute", f"{OBJECT} spec", inert="status")
SPEC = message(
    "HTTPRoute.spec",
    "parentRefs hostnames rules",
    refused={"useDefaultGateways": "name the gateway in parentRefs"},
)
PARENT = message("HTTPRoute.spec.parentRefs[]", "group kind name namespace sectionName port")
RULE = message(
    "HTTPRoute.spec.rules[]",
    "name matches filters backendRefs timeouts retry",
    refused={"sessionPersistence": "use a DestinationRule with consistentHash"},
)
MATCH = message("HTTPRoute.spec.rules[].matches[]", "path headers queryParams method")
PATH = message("HTTPRoute.spec.rules[].matches[].path", "type value")
NAMED_VALUE = message("HTTPRoute.spec.rules[].matches[].headers[]", "type name value")
BACKEND = message("HTTPRoute.spec.rules[].backendRefs[]", "group kind name namespace port weight filters")
TIMEOUTS = message("HTTPRoute.spec.rules[].timeouts", "request backendRequest")
RETRY = message("HTTPRoute.spec.rules[].retry", "attempts codes", refused="backoff")

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
ALWAYS_RETRIED = ("connect-failure", "refused-stream", "unavailable", "cancelled")
EVERYTHING = kinds.HttpMatch(uri=kinds.StringMatch("prefix", "/"))


def http_route(top: Fields, meta: kinds.Meta) -> kinds.ApiRoute:
    spec = top.fields("spec", SPEC, required=True)
    if spec is None:
        return kinds.ApiRoute(meta, (), (), ())
    parents = (_parent(item, meta.namespace) for item in spec.all_fields("parentRefs", PARENT))
    rules = spec.all_fields("rules", RULE)
    return kinds.ApiRoute(
        meta=meta,
        parents=tuple(parent for parent in parents if parent is not None),
        hostnames=tuple(hostname(item) for item in spec.items("hostnames")),
        rules=tuple(route for number, rule in enumerate(rules) for route in _rule(rule, meta, number)),
    )


def _parent(fields: Fields, namespace: str) -> kinds.ParentRef | None:
    kind = fields.text("kind", "Gateway")
    group = fields.text("group", GROUP)
    name = fields.text("name", required=True)
    if (group, kind) not in ((GROUP, "Gateway"), ("", "Service")):
        if kind == "Service":
            fields.error("a Service has no group, and without one this is the Gateway API's", "kind", 'add group: ""')
        else:
            fields.not_carried_out("kind", "use a Gateway or a Service", f"a parent of kind {kind[:60]}")
        return None
    chosen: Literal["Gateway", "Service"] = "Gateway" if kind == "Gateway" else "Service"
    return kinds.ParentRef(
        kind=chosen,
        name=name,
        namespace=fields.text("namespace", namespace),
        section=fields.text("sectionName"),
        port=fields.maybe_integer("port", 1, 65535),
    )


def _rule(fields: Fields, meta: kinds.Meta, number: int) -> tuple[kinds.HttpRoute, ...]:
    """One route for each match; a rule without matches takes everything."""
    filters = read_filters(fields)
    timeout, retries = _timeouts(fields)
    route = kinds.HttpRoute(
        field=fields.value.path,
        name=fields.text("name", f"{meta.namespace}.{meta.name}.{number}"),
        redirect=filters.redirect,
        timeout=timeout,
        retries=retries,
        mirrors=filters.mirrors,
        headers=filters.headers,
        missing_backend_status=500,
    )
    destinations = _backends(fields)
    if destinations and filters.redirect:
        fields.error("a rule that redirects has no backends", "backendRefs", "remove them")
    elif destinations:
        route = replace(route, route=destinations)
    elif filters.redirect is None:
        # The Gateway API's word for a rule without backends.
        route = replace(route, direct_response=kinds.DirectResponse(500))
    matches = [_match(item) for item in fields.all_fields("matches", MATCH)] or [EVERYTHING]
    return tuple(replace(route, matches=(match,), rewrite=_rewrite(filters, match)) for match in matches)


def _backends(fields: Fields) -> tuple[kinds.RouteDestination, ...]:
    found = []
    for item in fields.all_fields("backendRefs", BACKEND):
        weight = item.integer("weight", 0, 1_000_000, default=1)
        destination = read_reference(item)
        if weight and destination:
            found.append(kinds.RouteDestination(destination, weight, backend_filters(item)))
    return tuple(found)


def _match(fields: Fields) -> kinds.HttpMatch:
    return kinds.HttpMatch(
        uri=_path(fields),
        method=kinds.StringMatch("exact", method) if (method := fields.text("method", choices=METHODS)) else None,
        headers=_named_values(fields, "headers"),
        query=_named_values(fields, "queryParams"),
        whole_segments=True,
    )


def _path(fields: Fields) -> kinds.StringMatch:
    path = fields.fields("path", PATH)
    if path is None:
        return kinds.StringMatch("prefix", "/")
    kind = path.text("type", "PathPrefix", choices=("Exact", "PathPrefix", "RegularExpression"))
    if kind == "RegularExpression":
        return kinds.StringMatch("regex", regex(path, "value"))
    value = path.text("value", "/")
    if not value.startswith("/"):
        path.error(f"{value[:60]!r} must begin with /", "value")
    if kind == "Exact":
        return kinds.StringMatch("exact", value)
    # A slash at the end of a prefix says nothing.
    return kinds.StringMatch("prefix", value.removesuffix("/") or "/")


def _named_values(fields: Fields, name: str) -> tuple[tuple[str, kinds.StringMatch], ...]:
    """Of entries with one name only the first counts."""
    found: dict[str, kinds.StringMatch] = {}
    for item in fields.all_fields(name, NAMED_VALUE):
        key = item.text("name", required=True)
        if name == "headers":
            check_header_name(item.value, key)
            key = key.lower()
        regular = item.text("type", "Exact", choices=("Exact", "RegularExpression")) == "RegularExpression"
        value = regex(item, "value") if regular else item.text("value", required=True)
        found.setdefault(key, kinds.StringMatch("regex" if regular else "exact", value))
    return tuple(found.items())


def _timeouts(fields: Fields) -> tuple[float | None, kinds.Retries | None]:
    """The route's timeout and retries: `backendRequest` is for each try, and without retries for the only one."""
    timeouts = fields.fields("timeouts", TIMEOUTS)
    request = (timeouts.maybe_duration("request", minimum=0.0) if timeouts else None) or None
    backend = (timeouts.maybe_duration("backendRequest", minimum=0.0) if timeouts else None) or None
    if timeouts and request and backend and backend > request:
        timeouts.error("must not be longer than request", "backendRequest")
    retry = fields.fields("retry", RETRY)
    if retry is None:
        return backend or request, None
    codes = [str(item.integer(400, 599)) for item in retry.items("codes")]
    attempts = retry.integer("attempts", 0, 2**31 - 1, default=2)
    if attempts == 0:
        return request, kinds.Retries(0)
    return request, kinds.Retries(attempts, backend, ",".join([*ALWAYS_RETRIED, *codes]))


def _rewrite(filters: Filters, match: kinds.HttpMatch) -> kinds.Rewrite | None:
    """The route's rewrite. What replaces a prefix by nothing depends on the prefix: `/api/x` becomes `/x`."""
    rewrite = filters.rewrite
    if rewrite is None or rewrite.uri != "/":
        return rewrite
    prefix = match.uri.value if match.uri and match.uri.type == "prefix" and match.uri.value != "/" else ""
    quoted = re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", prefix)
    return replace(rewrite, uri="", uri_regex=(f"^{quoted}(/?)(.*)", r"/\2"))
