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
from meshtrail.store.refused import TOO_LARGE, UNAVAILABLE, RefusedError
from meshtrail.store.sanitize import cut_span, needs_cut

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

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
class Outcome:
    """What became of the spans of one request; `duplicates` were there already and count as accepted by OTLP."""

    accepted: int
    duplicates: int
    rejected: int
    reason: str


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

    def add(self, resource_spans: Iterable[ResourceSpans]) -> Outcome:
        """Store the spans of one decoded request.

        Raises RefusedError, and stores nothing, when the request as a whole is over a limit. Single spans that cannot
        be stored are counted in the outcome.
        """
        resource_spans = list(resource_spans)
        count = sum(len(scope.spans) for resource in resource_spans for scope in resource.scope_spans)
        if count > self.limits.max_spans_per_request:
            raise RefusedError(
                TOO_LARGE,
                f"{count} spans in one request, the limit is {self.limits.max_spans_per_request}: send smaller batches",
            )
        if self.journal is not None and self.journal.overdue:
            raise RefusedError(UNAVAILABLE, "the disk does not keep up, or is full: nothing is taken until it does")
        now = self._clock()
        accepted = duplicates = rejected = 0
        reason = ""
        limits, index, journal = self.limits, self.index, self.journal
        room = limits.max_spans_per_trace
        touched = self._unpacked  # last arrival, in the order of first arrival
        for resource in resource_spans:
            resource_bytes = resource.resource.SerializeToString()
            resource_schema = resource.schema_url
            for scope in resource.scope_spans:
                envelope = self._envelopes.get(
                    resource_bytes, resource_schema, scope.scope.SerializeToString(), scope.schema_url
                )
                service = envelope.service
                for span in scope.spans:
                    trace_id = span.trace_id
                    problem = _problem(trace_id, span.span_id, span.parent_span_id)
                    if problem:
                        rejected += 1
                        reason = reason or problem
                        continue
                    body = span.SerializeToString()
                    name = span.name
                    if needs_cut(span, len(body), limits):
                        cut_span(span, limits)
                        body = span.SerializeToString()
                        name = span.name
                    known = index.traces.get(trace_id)
                    seq = len(known) if known is not None else 0
                    if seq >= room:
                        rejected += 1
                        reason = reason or f"trace {trace_id.hex()} has {seq} spans, the limit of one trace"
                        continue
                    trace = index.add(
                        trace_id,
                        envelope,
                        body,
                        (service, name, span.kind),
                        (span.start_time_unix_nano, span.end_time_unix_nano),
                        now,
                    )
                    if trace is None:
                        duplicates += 1
                        continue
                    accepted += 1
                    touched[trace_id] = now
                    if journal is not None:
                        journal.append(trace, seq, envelope, body)
        self.evict(now)
        return Outcome(accepted, duplicates, rejected, reason)

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


def _problem(trace_id: bytes, span_id: bytes, parent_id: bytes) -> str:
    """Why a span with these identifiers cannot be stored, or nothing."""
    if len(trace_id) != 16 or trace_id == _NO_TRACE:
        return f"invalid trace id {trace_id[:32].hex() or '(empty)'}: 16 bytes, not all zero"
    if len(span_id) != 8 or span_id == _NO_SPAN:
        return f"invalid span id {span_id[:32].hex() or '(empty)'}: 8 bytes, not all zero"
    if parent_id and len(parent_id) != 8:
        return f"invalid parent span id {parent_id[:32].hex()}: 8 bytes, or none"
    return ""
