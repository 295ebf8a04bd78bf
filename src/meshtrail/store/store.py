"""The store itself: takes decoded requests in, keeps the limits, gives traces out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from meshtrail.store.envelope import Envelope, EnvelopeCache
from meshtrail.store.index import Index, Trace
from meshtrail.store.limits import Limits
from meshtrail.store.otlp import Outcome, decode_request
from meshtrail.store.refused import TOO_LARGE, UNAVAILABLE, RefusedError
from meshtrail.store.sanitize import cut_span, needs_cut
from meshtrail.store.wire import span_slices

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

_NO_TRACE = bytes(16)
_NO_SPAN = bytes(8)
# A trace that got nothing new for so long (seconds) is packed; a request takes far less.
PACK_AFTER_S = 5.0


class Journal(Protocol):
    """Where spans are kept beyond the process; see `sqlite.py`."""

    def append(self, trace: Trace, seq: int, envelope: Envelope, body: bytes) -> None: ...

    def remove(self, traces: Iterable[Trace]) -> None: ...

    def clear(self) -> None: ...

    @property
    def overdue(self) -> bool:
        """Whether so much waits for the disk that nothing more can be taken."""

    async def committed(self) -> None:
        """Return when everything appended so far is on disk; RefusedError when it cannot be."""


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """One span as it lies in the store, still encoded."""

    envelope: Envelope
    body: bytes

    def decode(self) -> Span:
        return Span.FromString(self.body)


class TraceStore:
    """Owned by one event loop; `clock` gives seconds since the epoch."""

    def __init__(
        self, limits: Limits | None = None, journal: Journal | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.limits = limits or Limits()
        self.index = Index(self.limits)
        self.journal = journal
        self._clock = clock
        self._envelopes = EnvelopeCache(self.limits)
        self._unpacked: dict[bytes, float] = {}

    def add(self, data: bytes) -> Outcome:
        """Store the spans of one encoded ExportTraceServiceRequest.

        Raises RefusedError, and stores nothing, when the request is malformed or as a whole over a limit. Single spans
        that cannot be stored are counted in the outcome.
        """
        message, data = decode_request(data)
        resources = message.resource_spans
        scopes = [(resource, scope) for resource in resources for scope in resource.scope_spans]
        count = sum(len(scope.spans) for _, scope in scopes)
        limits = self.limits
        if count > limits.max_spans_per_request:
            raise RefusedError(
                TOO_LARGE,
                f"{count} spans in one request, the limit is {limits.max_spans_per_request}: send smaller batches",
            )
        if self.journal is not None and self.journal.overdue:
            raise RefusedError(UNAVAILABLE, "the disk does not keep up, or is full: nothing is taken until it does")
        bodies = _bodies(data, scopes, count)
        now = self._clock()
        accepted = duplicates = rejected = 0
        reason = ""
        for (resource, scope), slices in zip(scopes, bodies, strict=True):
            envelope = self._envelopes.get(
                resource.resource.SerializeToString(),
                resource.schema_url,
                scope.scope.SerializeToString(),
                scope.schema_url,
            )
            for span, body in zip(scope.spans, slices, strict=True):
                trace_id = span.trace_id
                problem = _problem(trace_id, span.span_id, span.parent_span_id)
                if not problem:
                    if needs_cut(span, len(body), limits):
                        cut_span(span, limits)
                        body = span.SerializeToString()
                    trace = self._add_span(trace_id, envelope, span, body, now)
                    if trace is not None:
                        accepted += 1
                        continue
                    known = self.index.traces[trace_id]
                    if len(known) < limits.max_spans_per_trace:
                        duplicates += 1
                        continue
                    problem = f"trace {trace_id.hex()} has {len(known)} spans, the limit of one trace"
                rejected += 1
                reason = reason or problem
        self.evict(now)
        return Outcome(accepted, duplicates, rejected, reason)

    def _add_span(self, trace_id: bytes, envelope: Envelope, span: Span, body: bytes, now: float) -> Trace | None:
        key = (envelope.service, span.name, span.kind)
        times = (span.start_time_unix_nano, span.end_time_unix_nano)
        trace = self.index.add(trace_id, envelope, body, key, times, now)
        if trace is not None:
            self._unpacked[trace_id] = now
            if self.journal is not None:
                self.journal.append(trace, len(trace) - 1, envelope, body)
        return trace

    def evict(self, now: float | None = None) -> int:
        """Keep the limits of the store; the number of traces that had to go."""
        gone = self.index.evict(self._clock() if now is None else now)
        if gone:
            for trace in gone:
                self._unpacked.pop(trace.id, None)
            if self.journal is not None:
                self.journal.remove(gone)
        return len(gone)

    def pack_some(self, budget_s: float) -> int:
        """Compress traces that have come to rest, for at most about `budget_s` seconds; how many."""
        end = time.perf_counter() + budget_s
        at_rest = self._clock() - PACK_AFTER_S
        ready = []
        for trace_id, touched in self._unpacked.items():
            if touched <= at_rest:
                ready.append(trace_id)
            if len(ready) >= 512 or touched > at_rest + PACK_AFTER_S:
                break
        done = 0
        for trace_id in ready:
            if time.perf_counter() >= end:
                break
            del self._unpacked[trace_id]
            trace = self.index.traces.get(trace_id)
            if trace is not None and trace.bodies:
                self.index.pack(trace)
                done += 1
        return done

    def clear(self) -> int:
        """Forget every trace; how many there were."""
        count = len(self.index.traces)
        self.index.clear()
        self._unpacked.clear()
        if self.journal is not None:
            self.journal.clear()
        return count

    def spans(self, trace_id: bytes) -> list[StoredSpan]:
        """The spans of a trace in order of arrival; empty when it is unknown."""
        trace = self.index.traces.get(trace_id)
        if trace is None:
            return []
        return [StoredSpan(envelope, body) for envelope, body in zip(trace.envelopes, trace.spans(), strict=True)]


def _bodies(data: bytes, scopes: list[tuple[ResourceSpans, ScopeSpans]], count: int) -> list[list[bytes]]:
    """The encoded spans of each scope: cut out of the request, or encoded anew where that cannot be done."""
    try:
        found = [spans for resource in span_slices(data) for spans in resource]
    except (ValueError, IndexError):
        found = []
    if sum(map(len, found)) == count and list(map(len, found)) == [len(scope.spans) for _, scope in scopes]:
        return found
    return [[span.SerializeToString() for span in scope.spans] for _, scope in scopes]


def _problem(trace_id: bytes, span_id: bytes, parent_id: bytes) -> str:
    """Why a span with these identifiers cannot be stored, or nothing."""
    if (
        len(trace_id) == 16
        and len(span_id) == 8
        and trace_id != _NO_TRACE
        and span_id != _NO_SPAN
        and (not parent_id or len(parent_id) == 8)
    ):
        return ""
    if len(trace_id) != 16 or trace_id == _NO_TRACE:
        return f"invalid trace id {trace_id[:32].hex() or '(empty)'}: 16 bytes, not all zero"
    if len(span_id) != 8 or span_id == _NO_SPAN:
        return f"invalid span id {span_id[:32].hex() or '(empty)'}: 8 bytes, not all zero"
    return f"invalid parent span id {parent_id[:32].hex()}: 8 bytes, or none"
