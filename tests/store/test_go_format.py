"""Texts in Go's manner."""

from __future__ import annotations

import pytest

from meshtrail.store.go_format import duration_text, float_text, json_text, parse_duration, parse_int, time_text


@pytest.mark.parametrize(
    ("text", "ns"),
    [("0", 0), ("1ns", 1), ("1.5ms", 1_500_000), ("1h30m", 5_400_000_000_000), ("-2s", -2_000_000_000), ("5µs", 5000)],
)
def test_durations_are_read(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "5", "ms", "1x", "1ms ", "1e3s", "9" * 30 + "h"])
def test_wrong_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (-1_200_000, "-1.2ms"),
        (999_999_999, "999.999999ms"),
        (2_000_000_000, "2s"),
        (60_000_000_000, "1m0s"),
        (3_600_500_000_000, "1h0m0.5s"),
    ],
)
def test_durations_are_written(ns: int, text: str) -> None:
    assert duration_text(ns) == text
    assert parse_duration(text) == ns


def test_times_are_written() -> None:
    assert time_text(0) == "1970-01-01 00:00:00 +0000 UTC"
    assert time_text(1_795_224_010_001_500_000) == "2026-11-21 01:20:10.0015 +0000 UTC"
    assert time_text(2**64 - 1).startswith("2554-07-21 23:34:33.709551615")


@pytest.mark.parametrize("text", ["", "1.0", "0x1", "9223372036854775808", "\uff11"])
def test_wrong_integers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"strconv\.ParseInt"):
        parse_int(text)


def test_json_and_floats() -> None:
    assert json_text({"b": [1.0, True, None, b"\x00"], "a": "<&>\u2028"}) == (
        r'{"a":"\u003c\u0026\u003e\u2028","b":[1,true,null,"AA=="]}'
    )
    assert json_text([float("nan")]) == ""
    assert (float_text(3.0), float_text(0.5), float_text(float("inf"))) == ("3", "0.5", "json: unsupported value: +Inf")
