"""From the JSON of Jaeger's query API (`/api/traces`, also its download format) to the model.

Shape: `{"data": [{"traceID", "spans": [...], "processes": {id: {"serviceName", "tags"}}}]}`; a span has `references`
(`CHILD_OF`, `FOLLOWS_FROM`), `startTime` and `duration` in microseconds, `tags` as `{"key", "type", "value"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshtrail.model.span import KINDS, Kind, Log, Scalar, Span
from meshtrail.model.trace import Trace

HEX = frozenset("0123456789abcdef")

_MOST_WORDS = 20_000
_LONGEST_WORD = 200
WORDS: dict[str, str] = {}
"""Texts seen before; see `intern_text`."""


def traces_of(answer: object) -> tuple[Trace, ...]:
    """All traces of an answer; one without spans is left out. Raises ValueError that says what has the wrong shape."""
    return tuple(trace for item in data_of(answer) if (trace := _trace(item)) is not None)


def data_of(answer: object) -> list[Any]:
    """The list under `data`; Jaeger writes null for an empty one. Raises ValueError when there is none."""
    if not isinstance(answer, dict) or "data" not in answer:
        raise ValueError("no field `data`")
    data = answer["data"]
    if data is not None and not isinstance(data, list):
        raise ValueError("`data` is not a list")
    return data or []


def _trace(item: object) -> Trace | None:
    trace = as_mapping(item, "a trace")
    processes = as_mapping(trace.get("processes") or {}, "`processes`")
    known = {key: _process(process) for key, process in processes.items()}
    spans = [_span(span, known) for span in as_list(trace.get("spans"), "`spans`")]
    return Trace.of(spans) if spans else None


def _process(item: object) -> tuple[str, Mapping[str, Scalar]]:
    process = as_mapping(item, "a process")
    return intern_text(str(process.get("serviceName", ""))), _tags(process.get("tags"))


def _span(item: object, processes: Mapping[str, tuple[str, Mapping[str, Scalar]]]) -> Span:
    span = as_mapping(item, "a span")
    trace_id = _identifier(span.get("traceID"), 32, "`traceID`")
    tags = _tags(span.get("tags"))
    inline = span.get("process")
    service, process_tags = _process(inline) if inline else processes.get(str(span.get("processID")), ("", {}))
    return Span(
        trace_id=trace_id,
        span_id=_identifier(span.get("spanID"), 16, "`spanID`"),
        parent_id=_parent(span, trace_id),
        service=service,
        name=intern_text(str(span.get("operationName", ""))),
        kind=_kind(tags.get("span.kind")),
        start_us=_integer(span.get("startTime"), "`startTime`"),
        duration_us=max(0, _integer(span.get("duration", 0), "`duration`")),
        tags=tags,
        process_tags=process_tags,
        logs=tuple(_log(log) for log in as_list(span.get("logs"), "`logs`")),
        warnings=tuple(str(warning) for warning in as_list(span.get("warnings"), "`warnings`")),
    )


def _parent(span: Mapping[str, Any], trace_id: str) -> str | None:
    """The first CHILD_OF in the same trace, else the first FOLLOWS_FROM: references to other traces are links."""
    follows = None
    for item in as_list(span.get("references"), "`references`"):
        reference = as_mapping(item, "a reference")
        if _identifier(reference.get("traceID"), 32, "`traceID` of a reference") != trace_id:
            continue
        parent = _identifier(reference.get("spanID"), 16, "`spanID` of a reference")
        if reference.get("refType") == "CHILD_OF":
            return parent
        follows = follows or parent
    if follows is None and span.get("parentSpanID"):
        follows = _identifier(span["parentSpanID"], 16, "`parentSpanID`")
    return follows


def _log(item: object) -> Log:
    log = as_mapping(item, "a log")
    return Log(_integer(log.get("timestamp", 0), "`timestamp`"), _tags(log.get("fields")))


def _tags(items: object) -> dict[str, Scalar]:
    tags: dict[str, Scalar] = {}
    for item in as_list(items, "`tags`"):
        tag = as_mapping(item, "a tag")
        value = tag.get("value")
        if isinstance(value, str):
            value = intern_text(value)
        elif not isinstance(value, int | float):
            value = str(value)
        tags[intern_text(str(tag.get("key", "")))] = value
    return tags


def _kind(value: object) -> Kind:
    text = str(value).lower()
    return next((kind for kind in KINDS if kind == text), "unspecified")


def _identifier(value: object, digits: int, name: str) -> str:
    """Jaeger 1.x leaves leading zeros out."""
    text = str(value).lower() if isinstance(value, str) else ""
    if not text or len(text) > digits or not HEX.issuperset(text):
        raise ValueError(f"{name} is not an id of up to {digits} hex digits")
    return text.rjust(digits, "0")


def _integer(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 1 << 62:
        raise ValueError(f"{name} is not a number of microseconds")
    return int(value)


def intern_text(text: str) -> str:
    """The same text, one copy for many spans: names, keys and most values of tags repeat in each trace."""
    known = WORDS.get(text)
    if known is not None:
        return known
    if len(text) <= _LONGEST_WORD:
        if len(WORDS) >= _MOST_WORDS:  # identifiers, which do not repeat, have filled it
            WORDS.clear()
        WORDS[text] = text
    return text


def as_mapping(value: object, name: str) -> dict[str, Any]:
    """Raises ValueError when `value`, which is `name`, is no JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    return value


def as_list(value: object, name: str) -> list[Any]:
    """Null is an empty list. Raises ValueError when `value`, which is `name`, is no list."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{name} is not a list")
    return value
