"""Istio's VirtualService: HTTP routes."""

from __future__ import annotations

from meshtrail.manifests import kinds
from meshtrail.manifests.gateway import check_export
from meshtrail.manifests.kubernetes import OBJECT
from meshtrail.manifests.matching import MATCH, check_header_name, http_match, regex
from meshtrail.manifests.reader import Fields, message

# ------------------------------------------------------------------------------------------------ messages

VIRTUAL_SERVICE = message("VirtualService", f"{OBJECT} spec", inert="status")
SPEC = message(
    "VirtualService.spec",
    "hosts gateways http exportTo",
    refused={"tcp": "HTTP routes only: use http", "tls": "HTTP routes only: use http"},
)
ROUTE = message(
    "VirtualService.spec.http[]",
    "name match route redirect directResponse rewrite timeout retries fault mirror mirrorPercentage mirrorPercent "
    "mirror_percent mirrors headers",
    refused={
        "corsPolicy": "answer the preflight in the application",
        "delegate": "write the delegate's routes here",
    },
)
ROUTE_DESTINATION = message("VirtualService.spec.http[].route[]", "destination weight headers")
DESTINATION = message("destination", "host subset port")
PORT = message("destination.port", "number")
HEADERS = message("headers", "request response")
HEADER_OPERATIONS = message("headers.request, headers.response", "set add remove")
REDIRECT = message(
    "VirtualService.spec.http[].redirect",
    "uri authority scheme port redirectCode",
    refused={"derivePort": "give the port itself: port"},
)
REWRITE = message("VirtualService.spec.http[].rewrite", "uri authority uriRegexRewrite")
REGEX_REWRITE = message("VirtualService.spec.http[].rewrite.uriRegexRewrite", "match rewrite")
RETRIES = message(
    "VirtualService.spec.http[].retries",
    "attempts perTryTimeout retryOn retryRemoteLocalities",
    refused="backoff retryIgnorePreviousHosts",
)
FAULT = message("VirtualService.spec.http[].fault", "delay abort")
DELAY = message(
    "VirtualService.spec.http[].fault.delay",
    "fixedDelay percentage percent",
    refused={"exponentialDelay": "use fixedDelay"},
)
ABORT = message(
    "VirtualService.spec.http[].fault.abort",
    "httpStatus percentage",
    refused={"grpcStatus": "use httpStatus", "http2Error": "use httpStatus"},
)
PERCENT = message("percentage", "value")
MIRROR = message("VirtualService.spec.http[].mirrors[]", "destination percentage")
DIRECT_RESPONSE = message("VirtualService.spec.http[].directResponse", "status body")
BODY = message("VirtualService.spec.http[].directResponse.body", "string", refused={"bytes": "use string"})

# ------------------------------------------------------------------------------------------------- readers

# What Envoy's retry policy knows; numbers are statuses to retry on (Istio moves them to retriable_status_codes).
_RETRY_ON = frozenset(
    [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ]
)


def virtual_service(top: Fields, meta: kinds.Meta) -> kinds.VirtualService:
    spec = top.fields("spec", SPEC, required=True)
    if spec is None:
        return kinds.VirtualService(meta, (), (), ())
    check_export(spec)
    hosts = spec.strings("hosts", required=True)
    gateways = spec.strings("gateways")
    routes = tuple(
        http_route(item) for item in spec.all_fields("http", ROUTE, required=not ("tcp" in spec or "tls" in spec))
    )
    if "*" in hosts and (not gateways or "mesh" in gateways):
        spec.error('the host "*" may only be used with a gateway', "hosts", "name the gateway, or the service")
    return kinds.VirtualService(meta, hosts, gateways or ("mesh",), routes)


def http_route(fields: Fields) -> kinds.HttpRoute:
    route = route_destinations(fields)
    redirect = fields.fields("redirect", REDIRECT)
    direct = fields.fields("directResponse", DIRECT_RESPONSE)
    rewrite = fields.fields("rewrite", REWRITE)
    fields.exactly_one("route", "redirect", "directResponse", required="delegate" not in fields)
    if redirect and rewrite:
        fields.error("a redirect cannot rewrite", "rewrite", "give the new uri in redirect")
    fault = fields.fields("fault", FAULT)
    if fault:
        fault_needs(fault)
    return kinds.HttpRoute(
        field=fields.value.path,
        name=fields.text("name"),
        matches=tuple(http_match(item) for item in fields.all_fields("match", MATCH)),
        route=route,
        redirect=read_redirect(redirect) if redirect else None,
        direct_response=direct_response(direct) if direct else None,
        rewrite=read_rewrite(rewrite) if rewrite else None,
        timeout=fields.maybe_duration("timeout", minimum=0.0),
        retries=read_retries(fields),
        delay=fault_delay(fault) if fault else None,
        abort=fault_abort(fault) if fault else None,
        mirrors=mirrors(fields),
        headers=headers(fields),
    )


def route_destinations(fields: Fields) -> tuple[kinds.RouteDestination, ...]:
    items = fields.all_fields("route", ROUTE_DESTINATION)
    out = tuple(
        kinds.RouteDestination(destination(item, "destination"), item.integer("weight", 0, 2**31 - 1), headers(item))
        for item in items
    )
    # Istio gives a single destination everything, whatever its weight; among several a missing weight is 0.
    if len(out) > 1 and sum(one.weight for one in out) == 0:
        fields.error(
            "the weights of several destinations must sum to more than 0", "route", "give weights, say 90 and 10"
        )
    return out


def destination(fields: Fields, name: str) -> kinds.Destination:
    found = fields.fields(name, DESTINATION, required=True)
    if found is None:
        return kinds.Destination("")
    return read_destination(found)


def read_destination(fields: Fields) -> kinds.Destination:
    host = fields.text("host", required=True)
    if "*" in host:
        fields.error("a destination must name one host, without wildcard", "host")
    port = fields.fields("port", PORT)
    return kinds.Destination(
        host, fields.text("subset"), port.integer("number", 1, 65535, required=True) if port else None
    )


def headers(fields: Fields) -> kinds.Headers:
    found = fields.fields("headers", HEADERS)
    if found is None:
        return kinds.Headers()
    return kinds.Headers(header_operations(found, "request"), header_operations(found, "response"))


def header_operations(fields: Fields, name: str) -> kinds.HeaderOperations:
    found = fields.fields(name, HEADER_OPERATIONS)
    if found is None:
        return kinds.HeaderOperations()
    pairs: dict[str, tuple[tuple[str, str], ...]] = {}
    for operation in ("set", "add"):
        value = found.get(operation)
        entries = value.entries() if value else []
        for key, item in entries:
            check_header_name(item, key)
            if _is_pseudo(key) and (name == "response" or key.lower() not in ("host", ":authority")):
                item.error(f"{key} cannot be set here: Envoy refuses it; requests take host")
            if isinstance(item.raw, str) and any(ord(char) < 32 and char != "\t" for char in item.raw):
                item.error("a header value cannot hold control characters")
        pairs[operation] = tuple((key, item.text()) for key, item in entries)
    for item in found.items("remove"):
        check_header_name(item, item.raw if isinstance(item.raw, str) else "x")
        if isinstance(item.raw, str) and _is_pseudo(item.raw):
            item.error(f"{item.raw} cannot be removed: Envoy refuses to")
    return kinds.HeaderOperations(pairs["set"], pairs["add"], found.strings("remove"))


def _is_pseudo(name: str) -> bool:
    """Whether Envoy takes a header as part of the request line: `host`, and what begins with a colon."""
    return name.startswith(":") or name.lower() == "host"


def read_redirect(fields: Fields) -> kinds.Redirect:
    code = fields.integer("redirectCode", 301, 308, default=301)
    if code not in (301, 302, 303, 307, 308):
        fields.error(f"{code} is not one of 301, 302, 303, 307, 308", "redirectCode")
    return kinds.Redirect(
        uri=fields.text("uri"),
        authority=fields.text("authority"),
        scheme=fields.text("scheme", choices=("http", "https")),
        port=fields.maybe_integer("port", 1, 65535),
        code=code,
    )


def read_rewrite(fields: Fields) -> kinds.Rewrite:
    fields.exactly_one("uri", "uriRegexRewrite", required="authority" not in fields)
    pattern = fields.fields("uriRegexRewrite", REGEX_REWRITE)
    return kinds.Rewrite(
        uri=fields.text("uri"),
        authority=fields.text("authority"),
        uri_regex=(regex(pattern, "match"), pattern.text("rewrite", required=True)) if pattern else None,
    )


def read_retries(fields: Fields) -> kinds.Retries | None:
    found = fields.fields("retries", RETRIES)
    if found is None:
        return None
    retry_on = found.text("retryOn")
    for word in [word.strip() for word in retry_on.split(",")] if retry_on else []:
        if word not in _RETRY_ON and not (word.isascii() and word.isdigit() and 100 <= int(word[:4]) <= 599):
            found.error(f"{word[:60]!r} is not a retry condition", "retryOn", f"known: {', '.join(sorted(_RETRY_ON))}")
    per_try = found.maybe_duration("perTryTimeout", minimum=0.0)
    attempts = found.integer("attempts", 0, 2**31 - 1)
    if attempts == 0 and (per_try is not None or retry_on):
        found.error("attempts 0 switches retries off: perTryTimeout and retryOn have no meaning", "attempts")
    return kinds.Retries(attempts, per_try, retry_on, found.boolean("retryRemoteLocalities"))


def percentage(fields: Fields, name: str, default: float) -> float:
    found = fields.fields(name, PERCENT)
    if found is None:
        return default
    value = found.get("value")
    return value.number(0.0, 100.0) if value else 0.0


def fault_needs(fields: Fields) -> None:
    if "delay" not in fields and "abort" not in fields:
        fields.error("needs delay or abort")


def fault_delay(fields: Fields) -> kinds.FaultDelay | None:
    delay = fields.fields("delay", DELAY)
    if delay is None:
        return None
    # Istio: without a percentage every request is delayed; `percent` is the older whole number.
    share = float(delay.integer("percent", 0, 100)) if "percent" in delay else 100.0
    share = percentage(delay, "percentage", share)
    fixed = delay.get("fixedDelay") if "exponentialDelay" in delay else delay.need("fixedDelay")
    return kinds.FaultDelay(fixed.duration(), share) if fixed else None


def fault_abort(fields: Fields) -> kinds.FaultAbort | None:
    abort = fields.fields("abort", ABORT)
    if abort is None:
        return None
    share = percentage(abort, "percentage", 100.0)
    other = any(name in abort for name in ABORT.refused)
    status = abort.get("httpStatus") if other else abort.need("httpStatus")
    return kinds.FaultAbort(status.integer(200, 599, default=500), share) if status else None


def mirrors(fields: Fields) -> tuple[kinds.Mirror, ...]:
    fields.exactly_one("mirror", "mirrors", required=False)
    share = 100.0
    for older in ("mirror_percent", "mirrorPercent"):
        if older in fields:
            share = float(fields.integer(older, 0, 100))
    share = percentage(fields, "mirrorPercentage", share)
    single = fields.fields("mirror", DESTINATION)
    if single is not None:
        return (kinds.Mirror(read_destination(single), share),)
    if "mirrorPercentage" in fields:
        fields.error("has no meaning without mirror", "mirrorPercentage")
    return tuple(
        kinds.Mirror(destination(item, "destination"), percentage(item, "percentage", 100.0))
        for item in fields.all_fields("mirrors", MIRROR)
    )


def direct_response(fields: Fields) -> kinds.DirectResponse:
    body = fields.fields("body", BODY)
    return kinds.DirectResponse(fields.integer("status", 200, 599, required=True), body.text("string") if body else "")
