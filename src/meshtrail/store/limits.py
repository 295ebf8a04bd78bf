"""Every limit of the store, in one place; `docs/trace-store.md` lists them and a test compares the two."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, counts are numbers of things, ages are seconds.

    What is over a limit of the request is refused with the protocol's status. What is over a limit of a span is cut
    and marked, because a span with a huge attribute is still part of its trace. What is over a limit of the store
    makes room by evicting whole traces, oldest first.
    """

    # the store
    max_traces: int = 10_000
    max_spans: int = 200_000
    max_age_s: float = 0.0  # 0: no limit
    max_stored_bytes: int = 128 * MIB  # of encoded spans in memory, after packing
    # the request
    max_body_bytes: int = 8 * MIB  # also after decompression
    max_spans_per_request: int = 20_000
    max_nesting: int = 32  # of arrays and maps inside an attribute
    # the trace
    max_spans_per_trace: int = 20_000
    # the span
    max_attributes: int = 128  # of a span, a resource, a scope, an event, a link
    max_events: int = 128
    max_links: int = 128
    max_value_bytes: int = 16 * 1024  # one attribute value or name, in UTF-8
