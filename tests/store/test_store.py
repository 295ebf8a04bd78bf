"""Limits, retention and repeats, without any protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.store.spans import new_trace_id, request

from meshtrail.store.limits import Limits
from meshtrail.store.refused import TOO_LARGE, RefusedError
from meshtrail.store.sanitize import DROPPED_ATTRIBUTES, DROPPED_EVENTS
from meshtrail.store.store import PACK_AFTER_S, TraceStore
from meshtrail.store.wire import span_slices


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_keeps_spans_as_they_were_sent() -> None:
    store = TraceStore()
    message = request(trace_id := new_trace_id(), spans=3)
    outcome = store.add(message.SerializeToString())
    assert (outcome.accepted, outcome.rejected) == (3, 0)
    assert [stored.decode() for stored in store.spans(trace_id)] == list(message.resource_spans[0].scope_spans[0].spans)
    assert store.index.services() == ["frontend.default"]


def test_oldest_traces_go_first() -> None:
    store = TraceStore(Limits(max_traces=3))
    ids = [new_trace_id() for _ in range(5)]
    for trace_id in ids:
        store.add(request(trace_id, service=trace_id.hex()).SerializeToString())
    assert list(store.index.traces) == ids[2:]
    assert store.index.services() == sorted(trace_id.hex() for trace_id in ids[2:])


def test_whole_traces_go_when_there_are_too_many_spans() -> None:
    store = TraceStore(Limits(max_spans=10))
    for _ in range(4):
        store.add(request(spans=4).SerializeToString())
    assert (len(store.index.traces), store.index.span_count) == (2, 8)


def test_stored_bytes_are_bounded_under_endless_ingest() -> None:
    store = TraceStore(Limits(max_stored_bytes=20_000))
    for number in range(500):
        store.add(request(spans=3, service=f"s{number}", name=f"op{number}").SerializeToString())
    assert store.index.stored_bytes <= 20_000
    assert store.index.stored_bytes == sum(trace.stored_bytes for trace in store.index.traces.values())
    assert len(store.index.keys) == len(store.index.traces)


def test_old_traces_go_by_age() -> None:
    clock = Clock()
    store = TraceStore(Limits(max_age_s=60), clock=clock)
    store.add(request().SerializeToString())
    clock.now += 59
    store.add(request().SerializeToString())
    assert store.evict() == 0
    clock.now += 2
    assert store.evict() == 1
    assert len(store.index.traces) == 1


def test_a_repeated_request_is_stored_once() -> None:
    store = TraceStore()
    data = request(trace_id := new_trace_id(), spans=50).SerializeToString()
    assert store.add(data).accepted == 50
    again = store.add(data)
    assert (again.accepted, again.duplicates, again.rejected) == (0, 50, 0)
    assert len(store.spans(trace_id)) == 50


def test_a_repeat_is_known_after_packing() -> None:
    clock = Clock()
    store = TraceStore(clock=clock)
    data = request(trace_id := new_trace_id(), spans=40).SerializeToString()
    store.add(data)
    before, size = store.spans(trace_id), store.index.stored_bytes
    assert store.pack_some(1.0) == 0
    clock.now += PACK_AFTER_S + 1
    assert store.pack_some(1.0) == 1
    assert store.index.stored_bytes < size / 2
    assert store.spans(trace_id) == before
    assert store.add(data).duplicates == 40
    store.add(request(trace_id, name="late").SerializeToString())
    assert [span.decode().name for span in store.spans(trace_id)][-2:] == ["op", "late"]
    assert store.index.stored_bytes == sum(trace.stored_bytes for trace in store.index.traces.values())


def test_same_id_from_another_service_is_not_a_repeat() -> None:
    store = TraceStore()
    for service in ("client", "server"):
        store.add(request(trace_id := b"\x01" * 16, service=service).SerializeToString())
    assert [span.envelope.service for span in store.spans(trace_id)] == ["client", "server"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trace_id", b""),
        ("trace_id", bytes(16)),
        ("trace_id", b"short"),
        ("span_id", b""),
        ("span_id", bytes(8)),
        ("span_id", bytes(9)),
        ("parent_span_id", b"four"),
    ],
)
def test_a_span_with_an_invalid_id_is_rejected_alone(field: str, value: bytes) -> None:
    store = TraceStore()
    message = request(spans=3)
    setattr(message.resource_spans[0].scope_spans[0].spans[1], field, value)
    outcome = store.add(message.SerializeToString())
    assert (outcome.accepted, outcome.rejected) == (2, 1)
    assert "id" in outcome.reason


def test_a_trace_cannot_grow_without_end() -> None:
    store = TraceStore(Limits(max_spans_per_trace=5))
    outcome = store.add(request(spans=7).SerializeToString())
    assert (outcome.accepted, outcome.rejected) == (5, 2)
    assert "limit of one trace" in outcome.reason


def test_too_many_spans_are_refused_whole() -> None:
    store = TraceStore(Limits(max_spans_per_request=5))
    with pytest.raises(RefusedError) as refused:
        store.add(request(spans=6).SerializeToString())
    assert refused.value.status is TOO_LARGE
    assert not store.index.traces


def test_long_values_and_long_lists_are_cut_with_a_mark() -> None:
    limits = Limits(max_attributes=4, max_events=2, max_value_bytes=200)
    store = TraceStore(limits)
    message = request(trace_id := new_trace_id(), name="n" * 1000)
    span = message.resource_spans[0].scope_spans[0].spans[0]
    for number in range(6):
        span.attributes.add(key=f"k{number}").value.string_value = "é" * 500
        span.events.add(name="e")
    span.attributes[1].value.kvlist_value.values.add(key="inner").value.string_value = "x" * 500
    span.attributes[2].value.bytes_value = bytes(500)
    store.add(message.SerializeToString())
    cut = store.spans(trace_id)[0].decode()
    assert len(cut.name) <= 200
    assert "cut by the trace store, 1000 bytes" in cut.name
    tags = {attribute.key: attribute.value for attribute in cut.attributes}
    assert len(tags["k0"].string_value.encode()) <= 200
    assert "1000 bytes" in tags["k0"].string_value
    assert "dropped by the trace store" in tags["k1"].string_value
    assert "500 bytes, dropped" in tags["k2"].string_value
    assert tags[DROPPED_ATTRIBUTES].int_value == 2 == cut.dropped_attributes_count
    assert tags[DROPPED_EVENTS].int_value == 4 == cut.dropped_events_count
    assert store.index.keys[("frontend.default", cut.name, 2)].count == 1


def test_a_span_at_the_limits_is_left_alone() -> None:
    store = TraceStore(Limits(max_attributes=4, max_value_bytes=200))
    message = request(trace_id := new_trace_id(), name="n" * 200)
    span = message.resource_spans[0].scope_spans[0].spans[0]
    for number in range(4):
        span.attributes.add(key=f"k{number}").value.string_value = "x" * 190
    store.add(message.SerializeToString())
    assert store.spans(trace_id)[0].decode() == span


def test_text_that_is_not_utf8_is_mended() -> None:
    store = TraceStore()
    message = request(trace_id := new_trace_id(), name="MARKER")
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="raw").value.bytes_value = b"\xff\xfe"
    data = message.SerializeToString().replace(b"MARKER", b"caf\xe9 a")
    assert store.add(data).accepted == 1
    stored = store.spans(trace_id)[0].decode()
    assert stored.name == "caf� a"
    assert stored.attributes[0].value.bytes_value == b"\xff\xfe"


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_whole_or_stored(data: bytes) -> None:
    store = TraceStore()
    try:
        outcome = store.add(data)
    except RefusedError:
        assert not store.index.traces
    else:
        assert store.index.span_count == outcome.accepted


@given(st.data())
def test_a_damaged_request_is_refused_whole_or_stored_whole(data: st.DataObject) -> None:
    good = bytearray(request(spans=4).SerializeToString())
    at = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        del good[at:]
    else:
        good[at] = data.draw(st.integers(0, 255))
    store = TraceStore()
    try:
        outcome = store.add(bytes(good))
    except RefusedError:
        assert not store.index.traces
    else:
        assert outcome.accepted == store.index.span_count
        for trace_id in store.index.traces:
            assert len([span.decode() for span in store.spans(trace_id)]) == len(store.index.traces[trace_id])


@given(st.binary(max_size=300), st.integers(0, 20))
def test_slices_are_the_spans(junk: bytes, spans: int) -> None:
    message = request(spans=spans)
    for span in message.resource_spans[0].scope_spans[0].spans:
        span.attributes.add(key="k").value.bytes_value = junk
    message.resource_spans.add().schema_url = "s" * len(junk)
    message.resource_spans[1].scope_spans.add().spans.add(name="x")
    found = span_slices(message.SerializeToString())
    assert found == [
        [[span.SerializeToString() for span in scope.spans] for scope in resource.scope_spans]
        for resource in message.resource_spans
    ]


def test_unknown_fields_and_odd_orders_are_taken() -> None:
    message = request(trace_id := new_trace_id())
    unknown = b"\x9a\x06\x03abc" + b"\xa0\x06\x05" + b"\xa5\x06abcd" + b"\xa1\x06abcdefgh" + b"\xab\x06\xac\x06"
    data = unknown + message.SerializeToString() + unknown
    assert ExportTraceServiceRequest.FromString(data)
    store = TraceStore()
    assert store.add(data).accepted == 1
    assert store.spans(trace_id)[0].decode().name == "op"
