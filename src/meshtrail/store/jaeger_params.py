"""The parameters of Jaeger's query API."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from meshtrail.store.go_format import parse_duration, parse_int
from meshtrail.store.search import TraceQuery

Endpoint = Callable[[Request], Awaitable[Response]]

_DEFAULT_LIMIT = 100
_DEFAULT_LOOKBACK_NS = 2 * 24 * 3_600 * 10**9
_DEFAULT_DEPENDENCY_LOOKBACK_NS = 24 * 3_600 * 10**9
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"", "0", "f", "F", "FALSE", "false", "False"})


class ParameterError(Exception):
    """A parameter that cannot be used; the text is the one that Jaeger gives."""


def refusing(endpoint: Endpoint, error: Callable[[int, str], Response]) -> Endpoint:
    """The endpoint, which answers 400 to such a parameter in the form of its API."""

    async def refused(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ParameterError as found:
            return error(400, str(found))

    return refused


def trace_query(params: QueryParams, max_limit: int) -> TraceQuery:
    """The search of /api/traces. Times arrive in us, durations as Go writes them ("1.5ms")."""
    now = time.time_ns()
    start = _number(params, "start", 1000, now - _DEFAULT_LOOKBACK_NS)
    end = _number(params, "end", 1000, now)
    shortest, longest = _duration(params, "minDuration"), _duration(params, "maxDuration")
    if shortest and longest and longest < shortest:
        raise ParameterError("'maxDuration' should be greater than 'minDuration'")
    return TraceQuery(
        service=params.get("service", ""),
        operation=params.get("operation", ""),
        tags=_tags(params),
        start_min_ns=start,
        start_max_ns=end,
        duration_min_ns=shortest,
        duration_max_ns=longest,
        limit=_limit(params.get("limit", ""), max_limit),
    )


def trace_query_v3(params: QueryParams, max_limit: int) -> TraceQuery:
    """The search of /api/v3: names with a prefix, in snake_case or camelCase; times are RFC 3339."""

    def get(name: str) -> str:
        head, *rest = name.split("_")
        camel = head + "".join(part.capitalize() for part in rest)
        return params.get(f"query.{name}", "") or params.get(f"query.{camel}", "")

    if not get("start_time_min") or not get("start_time_max"):
        raise ParameterError("query.start_time_min and query.start_time_max are required")
    limit = get("num_traces") or get("search_depth")
    if limit and not re.fullmatch(r"[+-]?[0-9]{1,9}", limit):
        quoted = json.dumps(limit, ensure_ascii=False)
        raise ParameterError(f"malformed parameter query.num_traces: strconv.Atoi: parsing {quoted}: invalid syntax")
    tags = {
        key.removeprefix("query.attributes[").removesuffix("]"): value
        for key, value in params.multi_items()
        if key.startswith("query.attributes[")
    }
    return TraceQuery(
        service=get("service_name"),
        operation=get("operation_name"),
        tags=tags,
        start_min_ns=_rfc3339(get("start_time_min"), "query.start_time_min"),
        start_max_ns=_rfc3339(get("start_time_max"), "query.start_time_max"),
        duration_min_ns=_duration_v3(get("duration_min"), "query.duration_min"),
        duration_max_ns=_duration_v3(get("duration_max"), "query.duration_max"),
        limit=_limit(limit, max_limit),
    )


def dependency_window_ns(params: QueryParams) -> tuple[int, int]:
    """Start and end; `endTs` and `lookback` arrive in ms."""
    end = _number(params, "endTs", 1_000_000, time.time_ns())
    return end - _number(params, "lookback", 1_000_000, _DEFAULT_DEPENDENCY_LOOKBACK_NS), end


def flag(params: QueryParams, name: str) -> bool:
    value = params.get(name, "")
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ParameterError(
        f"unable to parse param '{name}': strconv.ParseBool: parsing {json.dumps(value)}: invalid syntax"
    )


def _number(params: QueryParams, name: str, unit_ns: int, default: int) -> int:
    value = params.get(name, "")
    if not value:
        return default
    try:
        return parse_int(value) * unit_ns
    except ValueError as error:
        raise ParameterError(f"unable to parse param '{name}': {error}") from None


def _duration(params: QueryParams, name: str) -> int:
    value = params.get(name, "")
    try:
        return parse_duration(value) if value else 0
    except ValueError as error:
        raise ParameterError(f"unable to parse param '{name}': {error}") from None


def _duration_v3(value: str, name: str) -> int:
    try:
        return parse_duration(value) if value else 0
    except ValueError as error:
        raise ParameterError(f"malformed parameter {name}: {error}") from None


def _limit(value: str, max_limit: int) -> int:
    """Jaeger fails on more than it may hold; here that is the same as all."""
    try:
        limit = parse_int(value, 32) if value else _DEFAULT_LIMIT
    except ValueError as error:
        raise ParameterError(str(error)) from None
    if limit <= 0:
        raise ParameterError("search depth must be greater than 0 and less than max traces")
    return min(limit, max_limit)


def _tags(params: QueryParams) -> dict[str, str]:
    tags: dict[str, str] = {}
    for pair in params.getlist("tag"):
        key, colon, value = pair.partition(":")
        if not colon:
            raise ParameterError(f"malformed 'tag' parameter, expecting key:value, received: {pair}")
        tags[key] = value
    for text in params.getlist("tags"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ParameterError(f"malformed 'tags' parameter, cannot unmarshal JSON: {error}") from None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise ParameterError("malformed 'tags' parameter, cannot unmarshal JSON: expected an object of strings")
        tags.update(found)
    return tags


def _rfc3339(value: str, name: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ParameterError(f"malformed parameter {name}: parsing time {json.dumps(value)}: not RFC 3339")
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
