"""Texts as Go's standard library writes and reads them: they are part of Jaeger's answers."""

from __future__ import annotations

import base64
import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(value: str) -> int:
    """ns of a Go duration such as "1.5ms" or "1h30m". Raises ValueError with Go's message."""
    rest = value[1:] if value[:1] in ("-", "+") else value
    if rest == "0":
        return 0
    total, at = 0.0, 0
    while at < len(rest) and (part := _PART.match(rest, at)):
        total += float(part[1]) * _UNITS_NS[part[2]]
        at = part.end()
    if not rest or at != len(rest):
        number = re.fullmatch(r"\d+\.?\d*|\.\d+", rest)
        quoted = json.dumps(value, ensure_ascii=False)
        raise ValueError(f"time: {'missing unit in' if number else 'invalid'} duration {quoted}")
    if total > 2**63 - 1:
        raise ValueError(f"time: invalid duration {json.dumps(value, ensure_ascii=False)}")
    return -round(total) if value.startswith("-") else round(total)


def parse_int(value: str, bits: int = 64) -> int:
    """A decimal integer. Raises ValueError with Go's message."""
    quoted = json.dumps(value, ensure_ascii=False)
    if not re.fullmatch(r"[+-]?[0-9]+", value):
        raise ValueError(f"strconv.ParseInt: parsing {quoted}: invalid syntax")
    number = int(value) if len(value) < 40 else 2**64
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ValueError(f"strconv.ParseInt: parsing {quoted}: value out of range")
    return number


def parse_hex64(value: str) -> int:
    """An unsigned 64-bit number in hex. Raises ValueError with Go's message."""
    if not re.fullmatch(r"[0-9a-fA-F]+", value):
        raise ValueError(f"strconv.ParseUint: parsing {json.dumps(value, ensure_ascii=False)}: invalid syntax")
    return int(value, 16)


def duration_text(ns: int) -> str:
    """A duration as Go prints it: "1.5ms", "2m0s"."""
    if ns == 0:
        return "0s"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    for unit in ("ns", "µs", "ms"):
        if ns < _UNITS_NS[unit] * 1000:
            return f"{sign}{_decimal(ns, _UNITS_NS[unit])}{unit}"
    minutes, ns = divmod(ns, _UNITS_NS["m"])
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(ns, _UNITS_NS['s'])}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def _decimal(ns: int, unit: int) -> str:
    whole, rest = divmod(ns, unit)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def time_text(ns: int) -> str:
    """A moment as Go's time.Time prints it in UTC: "2026-11-21 02:37:26.5 +0000 UTC"."""
    seconds, rest = divmod(ns, 1_000_000_000)
    moment = _EPOCH + timedelta(seconds=seconds)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def json_text(value: Any) -> str:
    """Compact JSON as encoding/json writes it: sorted keys, HTML escaped; empty when it holds NaN or an infinity."""
    try:
        text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:
        return ""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def json_number(value: float) -> float:
    """The number that json.dumps writes as Go does: 3, not 3.0."""
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def float_text(value: float) -> str:
    """A float as the Collector turns it into a string."""
    if math.isnan(value) or math.isinf(value):
        name = "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
        return f"json: unsupported value: {name}"
    return json.dumps(_plain(value))
