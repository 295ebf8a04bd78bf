"""The filters of an HTTPRoute's rule, and what its references name."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshtrail.manifests import kinds
from meshtrail.manifests.matching import check_header_name
from meshtrail.manifests.reader import Fields, message

FILTER = message(
    "HTTPRoute.spec.rules[].filters[]",
    "type requestHeaderModifier responseHeaderModifier requestRedirect urlRewrite requestMirror",
    refused={
        "extensionRef": "",
        "cors": "answer the preflight in the application",
        "externalAuth": "",
    },
)
MODIFIER = message("HTTPRoute.spec.rules[].filters[].requestHeaderModifier", "set add remove")
HEADER = message("HTTPRoute.spec.rules[].filters[].requestHeaderModifier.set[]", "name value")
REDIRECT = message("HTTPRoute.spec.rules[].filters[].requestRedirect", "scheme hostname path port statusCode")
REWRITE = message("HTTPRoute.spec.rules[].filters[].urlRewrite", "hostname path")
PATH = message("HTTPRoute.spec.rules[].filters[].urlRewrite.path", "type replaceFullPath replacePrefixMatch")
MIRROR = message("HTTPRoute.spec.rules[].filters[].requestMirror", "backendRef percent fraction")
FRACTION = message("HTTPRoute.spec.rules[].filters[].requestMirror.fraction", "numerator denominator")
REFERENCE = message("HTTPRoute.spec.rules[].filters[].requestMirror.backendRef", "group kind name namespace port")

TYPES = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "RequestMirror": "requestMirror",
    "ExtensionRef": "extensionRef",
    "CORS": "cors",
    "ExternalAuth": "externalAuth",
}


@dataclass(frozen=True, slots=True)
class Filters:
    headers: kinds.Headers = field(default_factory=kinds.Headers)
    redirect: kinds.Redirect | None = None
    rewrite: kinds.Rewrite | None = None
    mirrors: tuple[kinds.Mirror, ...] = ()


NO_FILTERS = Filters()


def read_filters(fields: Fields) -> Filters:
    request, response = kinds.HeaderOperations(), kinds.HeaderOperations()
    redirect: kinds.Redirect | None = None
    rewrite: kinds.Rewrite | None = None
    mirrors: list[kinds.Mirror] = []
    seen: set[str] = set()
    for item in fields.all_fields("filters", FILTER):
        kind = item.text("type", required=True, choices=tuple(TYPES))
        name = TYPES.get(kind, "")
        if not name or name in FILTER.refused:
            if name and item.raw.get(name) is None:
                item.not_carried_out("type", FILTER.refused[name], f"filter {kind}")
            continue
        if kind in seen and kind != "RequestMirror":
            item.error(f"a rule has only one filter {kind}", "type")
        seen.add(kind)
        if kind == "RequestHeaderModifier":
            request = _modifier(item, name)
        elif kind == "ResponseHeaderModifier":
            response = _modifier(item, name)
        elif kind == "RequestRedirect":
            redirect = _redirect(item)
        elif kind == "URLRewrite":
            rewrite = _rewrite(item)
        else:
            mirrors += _mirror(item)
    if redirect and rewrite:
        fields.error("a rule that redirects cannot rewrite", "filters")
    return Filters(kinds.Headers(request, response), redirect, rewrite, tuple(mirrors))


def backend_filters(fields: Fields) -> kinds.Headers:
    """Of a single backend Istio takes header modifiers only."""
    found = read_filters(fields) if "filters" in fields else NO_FILTERS
    if found.redirect or found.rewrite or found.mirrors:
        fields.not_carried_out("filters", "put it into the rule's filters", "this filter of a single backend")
    return found.headers


def _modifier(fields: Fields, name: str) -> kinds.HeaderOperations:
    found = fields.fields(name, MODIFIER, required=True)
    if found is None:
        return kinds.HeaderOperations()
    for item in found.items("remove"):
        check_header_name(item, item.raw if isinstance(item.raw, str) else "x")
    return kinds.HeaderOperations(_pairs(found, "set"), _pairs(found, "add"), found.strings("remove"))


def _pairs(fields: Fields, name: str) -> tuple[tuple[str, str], ...]:
    """Of two entries for one name the first counts."""
    found: dict[str, str] = {}
    for item in fields.all_fields(name, HEADER):
        key, value = item.text("name", required=True), item.text("value", required=True)
        check_header_name(item.value, key)
        if any(ord(char) < 32 and char != "\t" for char in value):
            item.error("a header value cannot hold control characters", "value")
        found.setdefault(key.lower(), value)
    return tuple(found.items())


def _redirect(fields: Fields) -> kinds.Redirect | None:
    found = fields.fields("requestRedirect", REDIRECT, required=True)
    if found is None:
        return None
    code = found.integer("statusCode", 301, 308, default=302)
    if code not in (301, 302, 303, 307, 308):
        found.error(f"{code} is not one of 301, 302, 303, 307, 308", "statusCode")
    scheme = found.text("scheme", choices=("http", "https"))
    port = found.maybe_integer("port", 1, 65535)
    full, prefix = _path(found)
    return kinds.Redirect(
        uri=full or "",
        prefix=prefix,
        authority=found.text("hostname"),
        scheme=scheme,
        port=port,
        # Without a port, and without a scheme that has one, the client's own stays.
        port_of_request=port is None and not scheme,
        code=code,
    )


def _rewrite(fields: Fields) -> kinds.Rewrite | None:
    found = fields.fields("urlRewrite", REWRITE, required=True)
    if found is None:
        return None
    full, prefix = _path(found)
    authority = found.text("hostname")
    if full is None and prefix is None:
        return kinds.Rewrite(authority=authority) if authority else None
    if full is not None:
        return kinds.Rewrite(authority=authority, uri_regex=("/.*", full))
    return kinds.Rewrite(uri=(prefix or "").removesuffix("/") or "/", authority=authority)


def _path(fields: Fields) -> tuple[str | None, str | None]:
    """What replaces the whole path, and what replaces the prefix that was matched."""
    path = fields.fields("path", PATH)
    if path is None:
        return None, None
    if path.text("type", required=True, choices=("ReplaceFullPath", "ReplacePrefixMatch")) == "ReplaceFullPath":
        return path.text("replaceFullPath", required=True), None
    return None, path.text("replacePrefixMatch", required=True)


def _mirror(fields: Fields) -> list[kinds.Mirror]:
    found = fields.fields("requestMirror", MIRROR, required=True)
    backend = found.fields("backendRef", REFERENCE, required=True) if found else None
    destination = read_reference(backend) if backend else None
    if found is None or destination is None:
        return []
    found.exactly_one("percent", "fraction", required=False)
    fraction = found.fields("fraction", FRACTION)
    share = 100.0
    if fraction:
        whole = fraction.integer("denominator", 1, default=100)
        share = 100.0 * fraction.integer("numerator", 0, whole, required=True) / whole
    elif "percent" in found:
        share = float(found.integer("percent", 0, 100))
    return [kinds.Mirror(destination, share)]


def read_reference(fields: Fields) -> kinds.Destination | None:
    """The Service that a reference names, by its full name once the namespace is known."""
    kind, group = fields.text("kind", "Service"), fields.text("group")
    if (group, kind) != ("", "Service"):
        fields.not_carried_out("kind", "name a Service", f"a backend of kind {kind[:60]}")
        return None
    if "namespace" in fields:
        # Istio asks for a ReferenceGrant of the other namespace, which the local mesh does not read.
        fields.not_carried_out(
            "namespace", "put the route into the namespace of its backend", "a backend of another namespace"
        )
        return None
    name = fields.text("name", required=True)
    if "." in name:
        fields.error(f"{name[:60]!r} is a host, not the name of a Service", "name", f"write {name.split('.')[0]!r}")
    port = fields.integer("port", 1, 65535, required=True)
    return kinds.Destination(name, port=port)
