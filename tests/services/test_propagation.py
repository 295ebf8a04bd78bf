"""Header forwarding and its switch, at the real services: what a caller sends, what the next service gets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.services.conftest import Setup
from tests.services.harness import KINDS, Implementation, Process, Upstream

from meshtrail_common.forwarding import HEADERS
from meshtrail_common.propagation import MODES

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT = {
    "x-request-id": "0d4ec4a6-9d3e-9a5e-8a5c-4f1f6f2f9a11",
    "b3": f"{TRACE}-00f067aa0ba902b7-1",
    "x-b3-traceid": TRACE,
    "x-b3-spanid": "00f067aa0ba902b7",
    "x-b3-parentspanid": "a3ce929d0e0e4736",
    "x-b3-sampled": "1",
    "x-b3-flags": "0",
    "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    "tracestate": "rojo=00f067aa0ba902b7",
    "baggage": "tier=gold",
    "x-ot-span-context": "cafe",
    "grpc-trace-bin": "AAAQ",
    "x-cloud-trace-context": f"{TRACE}/1;o=1",
    "x-datadog-trace-id": "1234",
    "x-datadog-parent-id": "5678",
    "x-datadog-sampling-priority": "1",
    "sw8": "1-AAAQ",
}
BY_RULE = {"x-datadog-tags": "_dd.p.dm=-1", "sw8-correlation": "a:b"}
ROUTING = {
    "end-user": "jason",
    "user-agent": "Mozilla/5.0 (test)",
    "cookie": "a=1",
    "authorization": "Bearer 1",
    "jwt": "1",
}
# What the SDK of the otel form writes by itself, with its own span for parent.
INJECTED = {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "traceparent", "tracestate", "baggage"}
SDK_OWNED = {name for name in SENT if HEADERS.group(name) in ("b3", "w3c")}


def passed_on(setup: Setup, headers: object) -> dict[str, str]:
    """Return the tracing headers that the upstream got."""
    setup.upstream.seen.clear()
    assert setup.process.get(headers=headers).status_code == 200
    (seen,) = setup.upstream.seen
    return {name: value for name, value in seen.items() if HEADERS.group(name)}


def expected(form: str, mode: str) -> set[str]:
    names = {name for name in SENT | BY_RULE if HEADERS.group(name) in HEADERS.modes[mode]}
    return names if form == "plain" else names - (SDK_OWNED - INJECTED)


def test_the_sample_holds_the_whole_list() -> None:
    assert SENT.keys() == HEADERS.groups.keys()


@pytest.mark.parametrize("mode", MODES)
def test_mode_decides_what_is_forwarded(calling: Setup, mode: str) -> None:
    calling.process.switch(mode)
    got = passed_on(calling, SENT | BY_RULE)
    assert got.keys() == expected(calling.form, mode)
    copied = got.keys() - (SDK_OWNED if calling.form == "otel" else set())
    assert {name: got[name] for name in copied} == {name: (SENT | BY_RULE)[name] for name in copied}


def test_sdk_takes_the_callers_span_as_parent(traced_calling: Setup) -> None:
    got = passed_on(traced_calling, SENT)
    _, trace, span, flags = got["traceparent"].split("-")
    assert (trace, flags) == (TRACE, "01")
    assert span not in (SENT["traceparent"].split("-")[2], SENT["x-b3-spanid"]), "its own span, not a copy"
    assert (got["x-b3-traceid"], got["x-b3-spanid"], got["x-b3-sampled"]) == (TRACE, span, "1")
    assert (got["tracestate"], got["baggage"]) == (SENT["tracestate"], SENT["baggage"])


@pytest.mark.parametrize("mode", MODES)
def test_routing_headers_are_not_touched_by_the_mode(calling: Setup, mode: str) -> None:
    calling.process.switch(mode)
    calling.process.get(headers=ROUTING)
    (seen,) = calling.upstream.seen
    passed = {name: value for name, value in ROUTING.items() if seen.get(name) == value}
    assert passed.keys() == calling.implementation.routing
    assert not seen.keys() & (ROUTING.keys() - passed.keys() - {"user-agent"}), (
        "the caller may have an agent of its own"
    )


def test_empty_tracestate_is_not_sent_on(calling: Setup) -> None:
    got = passed_on(calling, {"traceparent": SENT["traceparent"], "tracestate": ""})
    assert "tracestate" not in got
    assert got["traceparent"].split("-")[1] == TRACE


def test_header_that_repeats_is_joined(calling: Setup) -> None:
    repeated = [("sw8", "1-A"), ("SW8", "1-B"), ("traceparent", SENT["traceparent"])]
    repeated += [("tracestate", "a=1"), ("tracestate", "b=2")]
    got = passed_on(calling, repeated)
    assert got["sw8"].replace(", ", ",") == "1-A,1-B"
    assert got["tracestate"].replace(", ", ",") == "a=1,b=2"


@pytest.mark.parametrize(
    "traceparent",
    ["", "garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff-" + TRACE + "-b7ad6b7169203331-01", "é" * 50],
)
def test_garbage_in_traceparent_harms_nobody(calling: Setup, traceparent: str) -> None:
    headers = [(b"traceparent", traceparent.encode("latin-1")), (b"x-request-id", b"1")]
    got = passed_on(calling, headers)
    assert got["x-request-id"] == "1"
    if calling.form == "otel":
        version, trace, span, _ = got["traceparent"].split("-")
        assert (version, len(trace), len(span)) == ("00", 32, 16)
        assert trace not in (TRACE, "0" * 32)


@pytest.mark.parametrize("value", [b"caf\xe9 \xff", b"a\tb", b"x" * 8000])
def test_strange_values_arrive_as_they_are(calling: Setup, value: bytes) -> None:
    got = passed_on(calling, [(b"sw8", value)])
    assert got["sw8"].encode("latin-1") == value


@pytest.mark.parametrize("implementation", [one for one in KINDS if one.upstream], ids=str)
def test_mode_at_start(implementation: Implementation) -> None:
    with Upstream(implementation.upstream_answer) as upstream:
        environment = implementation.upstream_at(upstream.url) | {"PROPAGATION": "b3"}
        with Process(implementation, "plain", **environment) as process:
            assert process.get(headers=SENT).status_code == 200
    (seen,) = upstream.seen
    assert {name for name in seen if HEADERS.group(name)} == expected("plain", "b3") - BY_RULE.keys()


@pytest.mark.parametrize("implementation", KINDS, ids=str)
def test_control_port_is_closed_by_default(implementation: Implementation) -> None:
    with Process(implementation, "plain") as process:
        (line,) = [entry for entry in process.logs() if entry["message"].startswith("listening")]
        assert "control_port" not in line


def test_switch_in_every_service(running: Setup) -> None:
    """One that calls nobody has a switch that answers all the same, so that every service is handled alike."""
    for mode in ("none", "none", "b3", "all"):
        running.process.switch(mode)


def test_switch_while_requests_flow(calling_kind: Setup) -> None:
    calling = calling_kind
    stop = threading.Event()
    marked = "end-user"  # forwarded in every mode

    def flow() -> int:
        count = 0
        while not stop.is_set():
            assert calling.process.get(headers=SENT).status_code == 200
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        flows = [pool.submit(flow) for _ in range(2)]
        try:
            for _ in range(2):
                for mode in MODES:
                    calling.process.switch(mode)
                    # One that begins after the switch has answered obeys it, whatever else is under way.
                    mark = f"mark-{mode}"
                    calling.process.get(headers=SENT | {marked: mark})
                    got = [seen for seen in list(calling.upstream.seen) if seen.get(marked) == mark][-1]
                    names = {name for name in got if HEADERS.group(name)}
                    assert names == expected(calling.form, mode) - BY_RULE.keys()
        finally:
            stop.set()
        assert all(one.result() > 0 for one in flows)
