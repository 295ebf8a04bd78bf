"""The conditions of a VirtualService as Envoy's route match."""

from __future__ import annotations

from meshtrail.envoy.proxy import Config
from meshtrail.manifests import kinds


def route_match(match: kinds.HttpMatch | None, *, authority: bool = True) -> Config:
    """`authority` False leaves out the condition on the host, which a caller has decided already."""
    if match is None:
        return {"prefix": "/"}
    result: Config = _path(match.uri, whole_segments=match.whole_segments)
    if match.ignore_uri_case and match.uri is not None and match.uri.type != "regex":
        result["case_sensitive"] = False
    headers = [_header(name, condition) for name, condition in sorted(match.headers)]
    for name, condition in sorted(match.without_headers):
        inverted = {**_header(name, condition), "invert_match": True}
        if condition.type != "present":
            # A request without the header must pass `withoutHeaders`.
            inverted["treat_missing_header_as_empty"] = True
        headers.append(inverted)
    if match.method is not None:
        headers.append(_header(":method", match.method))
    if match.authority is not None and authority:
        headers.append(_header(":authority", match.authority))
    if match.scheme is not None:
        headers.append(_header(":scheme", match.scheme))
    if headers:
        result["headers"] = headers
    if match.query:
        result["query_parameters"] = [_query(name, condition) for name, condition in sorted(match.query)]
    return result


def _path(uri: kinds.StringMatch | None, *, whole_segments: bool) -> Config:
    if uri is None or uri.type == "present":
        return {"prefix": "/"}
    if uri.type == "exact":
        return {"path": uri.value}
    if uri.type == "prefix":
        return {"path_separated_prefix" if whole_segments and uri.value != "/" else "prefix": uri.value}
    return {"safe_regex": {"regex": uri.value}}


def _header(name: str, condition: kinds.StringMatch) -> Config:
    return {"name": name, **_string("string_match", condition)}


def _query(name: str, condition: kinds.StringMatch) -> Config:
    return {"name": name, **_string("string_match", condition)}


def _string(field: str, condition: kinds.StringMatch) -> Config:
    if condition.type == "present" or (condition.type == "regex" and condition.value == ".*"):
        return {"present_match": True}
    if condition.type == "regex":
        return {field: {"safe_regex": {"regex": condition.value}}}
    if condition.type == "prefix" and not condition.value:
        return {"present_match": True}
    return {field: {condition.type: condition.value}}


def is_catch_all(match: Config) -> bool:
    """Whether nothing after this route can be reached."""
    conditions = [name for name in match if name not in ("prefix", "safe_regex", "case_sensitive")]
    everything = match.get("prefix") == "/" or match.get("safe_regex", {}).get("regex") in (".*", "/.*")
    return everything and not conditions
