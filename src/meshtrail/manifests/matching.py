"""What a route of a VirtualService matches: uri, headers, method, query and where the request comes from."""

from __future__ import annotations

import re
import warnings

from meshtrail.manifests import kinds
from meshtrail.manifests.reader import Fields, Value, message, shorten

MATCH = message(
    "VirtualService.spec.http[].match[]",
    "name uri ignoreUriCase method authority scheme headers withoutHeaders queryParams port gateways sourceLabels "
    "sourceNamespace",
    inert="statPrefix",
)
STRING_MATCH = message("StringMatch", "exact prefix regex")
_HEADER_NAME = re.compile(r":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z", re.ASCII)


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
    """A regular expression for Envoy: refused when it does not compile or uses what RE2 lacks."""
    text = fields.text(name, required=True)
    wrong = wrong_regex(text)
    if wrong:
        fields.error(f"{shorten(text)!r} {wrong}", name)
        return ""
    return text


# RE2's own rules (github.com/google/re2/wiki/Syntax) where Python's differ.
_TOKEN = re.compile(r"\\[pP]\{\^?\w+\}|\\[pP]\w|\\x\{[0-9a-fA-F]+\}|\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]", re.S)
_NOT_RE2 = (
    ("(?=", "look-around"),
    ("(?!", "look-around"),
    ("(?<=", "look-around"),
    ("(?<!", "look-around"),
    ("(?P=", "a back-reference"),
    ("(?>", "an atomic group"),
    ("(?#", "a comment"),
    ("(?(", "a condition"),
    ("*+", "a possessive quantifier"),
    ("++", "a possessive quantifier"),
    ("?+", "a possessive quantifier"),
    ("}+", "a possessive quantifier"),
)


def wrong_regex(text: str) -> str:
    """What is wrong with a regular expression for RE2, "" when nothing is."""
    if len(text) > 1024:
        return f"is a regular expression of {len(text)} characters, at most 1024"
    # Escapes and character classes become a letter: what is left shows the structure.
    structure = _TOKEN.sub("x", text)
    for construct, what in _NOT_RE2:
        if construct in structure:
            return f"uses {what} ({construct}), which Envoy's RE2 does not have"
    for token in _TOKEN.findall(text):
        if re.match(r"\\[1-9uUNZ]", token):
            return f"uses {token}, which Envoy's RE2 does not have"
    if any(int(count) > 1000 for count in re.findall(r"\{(?:\d+,)?(\d{1,9})", structure)):
        return "repeats more than 1000 times, which Envoy's RE2 refuses"
    # What only RE2 knows is replaced by something as good for Python: classes, \z, flags in the middle, names.
    other = _TOKEN.sub(lambda token: "x" if re.match(r"\\[pPxzCQE]", token[0]) else token[0], text)
    other = re.sub(r"\(\?[imsU-]+([:)])", lambda flags: "(?:" if flags[1] == ":" else "", other).replace("(?<", "(?P<")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(other)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    return ""


def check_header_name(value: Value, name: str) -> None:
    if not _HEADER_NAME.match(name):
        value.error(f"{name[:60]!r} is not a header name")
