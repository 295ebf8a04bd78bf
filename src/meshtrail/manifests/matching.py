"""What a route of a VirtualService matches: uri, headers, method, query and where the request comes from."""

from __future__ import annotations

import re

from meshtrail.manifests import kinds
from meshtrail.manifests.reader import Fields, Value, message

MATCH = message(
    "VirtualService.spec.http[].match[]",
    "name uri ignoreUriCase method authority scheme headers withoutHeaders queryParams port gateways sourceLabels "
    "sourceNamespace",
    inert="statPrefix",
)
STRING_MATCH = message("StringMatch", "exact prefix regex")
_HEADER_NAME = re.compile(r":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+$", re.ASCII)


def http_match(fields: Fields) -> kinds.HttpMatch:
    return kinds.HttpMatch(
        name=fields.text("name"),
        uri=string_match(fields.get("uri")),
        ignore_uri_case=fields.boolean("ignoreUriCase"),
        method=string_match(fields.get("method")),
        authority=string_match(fields.get("authority")),
        scheme=string_match(fields.get("scheme")),
        headers=string_matches(fields, "headers"),
        without_headers=string_matches(fields, "withoutHeaders"),
        query=string_matches(fields, "queryParams"),
        port=fields.maybe_integer("port", 1, 65535),
        gateways=fields.strings("gateways"),
        source_labels=fields.labels("sourceLabels"),
        source_namespace=fields.text("sourceNamespace"),
    )


def string_match(value: Value | None, *, present: bool = False) -> kinds.StringMatch | None:
    """One of exact, prefix, regex; with `present` also `{}`, which any value satisfies."""
    if value is None:
        return None
    fields = value.fields(STRING_MATCH)
    if present and not fields.raw and isinstance(value.raw, dict):
        return kinds.StringMatch("present")
    fields.exactly_one("exact", "prefix", "regex", required=bool(fields.raw) or isinstance(value.raw, dict))
    if "regex" in fields:
        return kinds.StringMatch("regex", regex(fields, "regex"))
    if "prefix" in fields:
        prefix = fields.text("prefix")
        if not prefix and isinstance(fields.raw.get("prefix"), str):
            fields.error("must not be empty", "prefix", "leave the match away to match everything")
        return kinds.StringMatch("prefix", prefix)
    return kinds.StringMatch("exact", fields.text("exact"))


def string_matches(fields: Fields, name: str) -> tuple[tuple[str, kinds.StringMatch], ...]:
    found = fields.get(name)
    out = []
    for key, value in found.entries() if found else []:
        if name != "queryParams":
            check_header_name(value, key)
        match = string_match(value, present=True)
        if match is not None:
            out.append((key, match))
    return tuple(out)


def regex(fields: Fields, name: str) -> str:
    """A regular expression in RE2 syntax: refused when it does not compile or uses what RE2 lacks."""
    text = fields.text(name, required=True)
    if len(text) > 1024:
        fields.error(f"a regular expression of {len(text)} characters, at most 1024", name)
        return ""
    for construct, what in _NOT_RE2:
        if construct.search(text):
            fields.error(f"{text!r} uses {what}, which RE2 does not have", name, "write it without")
            return ""
    try:
        # RE2 takes flags for the whole expression anywhere, Python only in front, and names groups alike.
        re.compile(re.sub(r"\(\?[imsU]+\)", "", text).replace(r"\z", r"\Z").replace(r"\pL", "L"))
    except (re.error, OverflowError, RecursionError) as error:
        fields.error(f"{text!r} is not a regular expression: {error}", name)
        return ""
    return text


_NOT_RE2 = (
    (re.compile(r"(?<!\\)\(\?<?[=!]"), "look-around"),
    (re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]"), "a back-reference"),
    (re.compile(r"(?<!\\)\(\?P="), "a back-reference"),
    (re.compile(r"(?<!\\)\(\?>"), "an atomic group"),
    (re.compile(r"(?<!\\)[*+?}]\+"), "a possessive quantifier"),
)


def check_header_name(value: Value, name: str) -> None:
    if not _HEADER_NAME.match(name):
        value.error(f"{name[:60]!r} is not a header name")
