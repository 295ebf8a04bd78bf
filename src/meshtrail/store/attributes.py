"""Attribute values of OTLP in the forms that Jaeger's two APIs and its search need."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from meshtrail.store.go_format import float_text, json_text

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue


def raw(value: AnyValue) -> Any:
    """The plain Python value; None when it is empty."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [raw(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: raw(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)


def as_string(value: AnyValue) -> str:
    """The value as the Collector's AsString gives it, which is what a search compares with."""
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "int_value":
        return str(value.int_value)
    if kind == "double_value":
        return float_text(value.double_value)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return json_text(raw(value))
