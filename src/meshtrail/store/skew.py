"""Jaeger's clock-skew adjuster as it is in Jaeger's default configuration: it warns and moves nothing.

Source: jaeger/cmd/query/app/querysvc/internal/adjuster/clockskew.go (v2.13), with the largest adjustment 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from meshtrail.store.go_format import duration_text


@dataclass(slots=True, eq=False)
class SkewNode:
    """A span as the adjuster sees it; `host` is the resource's `ip`, `warnings` is what it is warned of."""

    span_id: int
    parent_id: int
    start_ns: int
    duration_ns: int
    host: str
    warnings: list[str] = field(default_factory=list)


# What the two APIs say of a span whose parent is not in the trace; {} is the parent's id.
ORPHAN_CLASSIC = "invalid parent span IDs={}; skipping clock skew adjustment"
ORPHAN_V3 = "parent span ID={} is not in the trace; skipping clock skew adjustment"


def warn_of_skew(spans: Sequence[SkewNode], orphan: str) -> None:
    """Warn of spans that lie outside their parent, have no parent in the trace (`orphan`), or repeat an id."""
    nodes: dict[int, SkewNode] = {}
    for span in spans:
        if nodes.setdefault(span.span_id, span) is not span:
            span.warnings.append("duplicate span IDs; skipping clock skew adjustment")
    children: dict[int, list[SkewNode]] = {}
    pending: list[tuple[SkewNode, SkewNode | None, str, int]] = []
    for span in nodes.values():
        if span.parent_id == 0:
            pending.append((span, None, span.host, 0))
        elif span.parent_id in nodes:
            children.setdefault(span.parent_id, []).append(span)
        else:
            span.warnings.append(orphan.format(f"{span.parent_id:016x}"))
            pending.append((span, None, span.host, 0))
    while pending:  # a stack, not recursion: a trace may be deeper than Python's stack
        span, above, host, delta = pending.pop()
        if above is not None and (span.host != host or not span.host):
            host, delta = span.host, _skew(span, above)
        if delta:
            calculated = duration_text(delta)
            span.warnings.append(f"clock skew adjustment disabled; not applying calculated delta of {calculated}")
        pending.extend((child, span, host, delta) for child in children.get(span.span_id, ()))


def _skew(child: SkewNode, parent: SkewNode) -> int:
    if child.duration_ns > parent.duration_ns:
        return max(0, parent.start_ns - child.start_ns)
    child_end, parent_end = child.start_ns + child.duration_ns, parent.start_ns + parent.duration_ns
    if child.start_ns >= parent.start_ns and child_end <= parent_end:
        return 0
    return parent.start_ns + (parent.duration_ns - child.duration_ns) // 2 - child.start_ns
