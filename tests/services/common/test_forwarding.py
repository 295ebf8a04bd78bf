"""The list of headers and what a Forwarder picks of a request."""

from __future__ import annotations

import pytest

from meshtrail_common.forwarding import HEADERS, Forwarder
from meshtrail_common.propagation import MODES, Switch


def pick(headers: list[tuple[str, str]], mode: str = "all", **options: frozenset[str]) -> dict[bytes, bytes]:
    picked = Forwarder(Switch(mode), **options)(headers)
    assert len(dict(picked)) == len(picked)
    return dict(picked)


def test_list_is_complete_and_in_lower_case() -> None:
    assert set(HEADERS.groups) == {
        "x-request-id", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
        "traceparent", "tracestate", "baggage", "x-ot-span-context", "grpc-trace-bin", "x-cloud-trace-context",
        "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "sw8",
    }  # fmt: skip
    assert HEADERS.routing == {"end-user", "user-agent", "cookie", "authorization", "jwt"}
    assert all(name == name.lower() for name in HEADERS.groups)
    assert tuple(HEADERS.modes) == MODES
    assert HEADERS.modes["all"] == set(HEADERS.groups.values())
    assert {group for _, group in HEADERS.prefixes} <= HEADERS.modes["all"]


def test_names_are_compared_without_case() -> None:
    assert pick([("TraceParent", "1"), ("X-B3-TraceId", "2")]) == {b"traceparent": b"1", b"x-b3-traceid": b"2"}


@pytest.mark.parametrize("name", ["x-datadog-tags", "x-datadog-origin", "sw8-correlation", "x-b3-new"])
def test_families_by_prefix(name: str) -> None:
    assert pick([(name, "1")]) == {name.encode(): b"1"}
    assert pick([(name, "1")], "none") == {}


@pytest.mark.parametrize(
    "name", ["x-datadog", "sw80", "xb3-traceid", "accept", "host", "x-forwarded-for", "x-envoy-attempt-count", "cookie"]
)
def test_others_stay_behind(name: str) -> None:
    assert pick([(name, "1")]) == {}


def test_routing_only_where_asked_for_and_in_every_mode() -> None:
    headers = [("End-User", "jason"), ("Cookie", "secret")]
    for mode in MODES:
        assert pick(headers, mode) == {}
        assert pick(headers, mode, routing=frozenset({"end-user"})) == {b"end-user": b"jason"}


def test_what_the_sdk_injects_is_not_copied() -> None:
    headers = [("traceparent", "1"), ("b3", "2"), ("x-request-id", "3"), ("sw8", "4")]
    assert pick(headers, injected=frozenset({"b3", "w3c"})) == {b"x-request-id": b"3", b"sw8": b"4"}


@pytest.mark.parametrize("value", ["", " ", "a\x00b", "a\rb", "a\nb", "\x7f", "a\x1b[31m", "snow\u2603"])
def test_values_that_cannot_be_sent_stay_behind(value: str) -> None:
    assert pick([("traceparent", value), ("sw8", "1")]) == {b"sw8": b"1"}


def test_values_are_stripped_and_kept_as_bytes() -> None:
    assert pick([("sw8", " caf\xe9 ")]) == {b"sw8": b"caf\xe9"}


def test_repeated_header_is_joined_in_order_without_its_empty_ones() -> None:
    assert pick([("tracestate", "a=1"), ("tracestate", ""), ("TraceState", "b=2")]) == {b"tracestate": b"a=1,b=2"}


def test_switch_is_obeyed_by_the_next_call() -> None:
    switch = Switch()
    forward = Forwarder(switch)
    assert forward([("b3", "1")])
    switch.mode = "w3c"
    assert not forward([("b3", "1")])
    with pytest.raises(ValueError, match="allowed: all, b3, w3c, none"):
        switch.mode = "zipkin"
    assert switch.mode == "w3c"
    with pytest.raises(ValueError, match="unknown mode"):
        Switch("")
