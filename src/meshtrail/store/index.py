"""Which traces there are, what is in them, and which go first: the store without any protocol.

Spans stay encoded. The index keeps of each only what a search must know before it decodes anything: service, operation
and kind (one shared key object for all spans that have the same), and the times of the whole trace.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from meshtrail.store.envelope import Envelope
from meshtrail.store.limits import Limits

_LENGTH = Struct("<I")
# Below this number of spans comparing bytes one by one is cheaper than a set of them, in time and in memory.
_LINEAR = 32


@dataclass(slots=True)
class SpanKey:
    """Service, operation and OTLP span kind (0..5); `count` spans of the store have it."""

    service: str
    operation: str
    kind: int
    count: int = 0


@dataclass(slots=True, eq=False)
class Trace:
    """One trace. Times are ns since the epoch, `received_s` is when its first span arrived (seconds since the epoch).

    `envelopes`, `keys` and spans run in parallel, in order of arrival. Spans are in `packed` (compressed, the first
    `packed_count`) and then in `bodies`.
    """

    id: bytes
    number: int
    received_s: float
    start_ns: int = 0
    end_ns: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    keys: list[SpanKey] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    packed: bytes = b""
    packed_count: int = 0
    stored_bytes: int = 0
    seen: set[bytes] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def spans(self) -> list[bytes]:
        """The encoded spans, in order of arrival."""
        if not self.packed:
            return list(self.bodies)
        return [*_unpack(self.packed), *self.bodies]

    def has(self, envelope: Envelope, body: bytes) -> bool:
        """Whether the very same span is here already, as when an exporter repeats a request that was received."""
        if len(self.bodies) < _LINEAR:
            found = body in self.bodies
        else:
            if self.seen is None:
                self.seen = set(self.bodies)
            found = body in self.seen
        return found and any(
            body == other and envelope == self.envelopes[self.packed_count + at] for at, other in enumerate(self.bodies)
        )


def _unpack(packed: bytes) -> Iterator[bytes]:
    data = zlib.decompress(packed)
    at = 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        yield data[at : at + length]
        at += length


class Index:
    """All traces, oldest first. Not thread-safe: one event loop owns it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.traces: dict[bytes, Trace] = {}
        self.keys: dict[tuple[str, str, int], SpanKey] = {}
        self.span_count = 0
        self.stored_bytes = 0
        self._next_number = 1

    def add(
        self,
        trace_id: bytes,
        envelope: Envelope,
        body: bytes,
        key: tuple[str, str, int],
        times: tuple[int, int],
        now: float,
    ) -> Trace | None:
        """Add one span; the trace it went into, or None when it was there already or the trace is full.

        `now` is seconds since the epoch.
        """
        trace = self.traces.get(trace_id)
        start, end = times
        if trace is None:
            trace = self.traces[trace_id] = Trace(trace_id, self._next_number, now, start, end)
            self._next_number += 1
        else:
            if trace.packed:
                self.unpack(trace)
            if len(trace.keys) >= self.limits.max_spans_per_trace or trace.has(envelope, body):
                return None
            if start < trace.start_ns:
                trace.start_ns = start
            if end > trace.end_ns:
                trace.end_ns = end
        known = self.keys.get(key)
        if known is None:
            known = self.keys[key] = SpanKey(*key)
        known.count += 1
        trace.keys.append(known)
        trace.envelopes.append(envelope)
        trace.bodies.append(body)
        if trace.seen is not None:
            trace.seen.add(body)
        size = len(body)
        trace.stored_bytes += size
        self.stored_bytes += size
        self.span_count += 1
        return trace

    def restore(self, trace: Trace) -> None:
        """Take a trace whose spans were read back from disk; its number stays above all before it."""
        self.traces[trace.id] = trace
        self._next_number = max(self._next_number, trace.number + 1)
        self.span_count += len(trace)
        self.stored_bytes += trace.stored_bytes

    def key(self, key: tuple[str, str, int]) -> SpanKey:
        """The shared key object, made when new; the caller counts."""
        known = self.keys.get(key)
        if known is None:
            known = self.keys[key] = SpanKey(*key)
        return known

    def evict(self, now: float) -> list[Trace]:
        """Remove whole traces, oldest first, until every limit holds; those removed."""
        limits = self.limits
        oldest_allowed = now - limits.max_age_s if limits.max_age_s else 0.0
        gone: list[Trace] = []
        while self.traces:
            first = next(iter(self.traces.values()))
            if not (
                len(self.traces) > limits.max_traces
                or self.span_count > limits.max_spans
                or self.stored_bytes > limits.max_stored_bytes
                or first.received_s < oldest_allowed
            ):
                break
            self.remove(first)
            gone.append(first)
        return gone

    def remove(self, trace: Trace) -> None:
        del self.traces[trace.id]
        self.span_count -= len(trace)
        self.stored_bytes -= trace.stored_bytes
        for key in trace.keys:
            key.count -= 1
            if not key.count:
                del self.keys[key.service, key.operation, key.kind]

    def clear(self) -> None:
        self.traces.clear()
        self.keys.clear()
        self.span_count = 0
        self.stored_bytes = 0

    def pack(self, trace: Trace) -> None:
        """Compress the spans of a trace that is complete by all appearance: spans of one mesh are much alike."""
        data = b"".join(part for body in trace.spans() for part in (_LENGTH.pack(len(body)), body))
        packed = zlib.compress(data, 1)
        self._resize(trace, packed, len(trace), [], len(packed))

    def unpack(self, trace: Trace) -> None:
        bodies = trace.spans()
        self._resize(trace, b"", 0, bodies, sum(map(len, bodies)))

    def _resize(self, trace: Trace, packed: bytes, count: int, bodies: list[bytes], size: int) -> None:
        trace.packed, trace.packed_count, trace.bodies, trace.seen = packed, count, bodies, None
        self.stored_bytes += size - trace.stored_bytes
        trace.stored_bytes = size

    def services(self) -> list[str]:
        return sorted({key.service for key in self.keys.values()})
