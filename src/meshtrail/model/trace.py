"""A trace: the spans that share a trace id, and the tree that their parents make.

Real traces are not trees: a parent may never have been exported, there may be several roots, ids may repeat, parents
may form a circle. Nothing here fails on such a trace, nothing recurses, and every span is found exactly once by `walk`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from meshtrail.model.span import Span


@dataclass(frozen=True, slots=True)
class Node:
    """A span at its place in the tree: `depth` 0 is a top; `last` says that no sibling follows."""

    span: Span
    depth: int
    last: bool
    children: int


@dataclass(frozen=True)
class Trace:
    """Spans of one trace id, in order of start. Build it with `Trace.of`."""

    trace_id: str
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Trace:
        """Raises ValueError when there is no span, or spans of several traces."""
        ordered = tuple(sorted(spans, key=lambda span: span.start_us))
        ids = {span.trace_id for span in ordered}
        if len(ids) != 1:
            raise ValueError(f"a trace needs spans of one trace id, got {len(ids)} ids")
        return cls(ids.pop(), ordered)

    @cached_property
    def _positions(self) -> dict[str, int]:
        """Span id -> position. A repeated id (Zipkin's shared spans) stands for its server half, which has children."""
        positions: dict[str, int] = {}
        for position, span in enumerate(self.spans):
            if span.span_id not in positions or span.kind == "server":
                positions[span.span_id] = position
        return positions

    @cached_property
    def _parents(self) -> list[int | None]:
        """Position of each span's parent; None for a root, an orphan, and where a circle of parents is cut."""
        parents: list[int | None] = []
        for position, span in enumerate(self.spans):
            parent = self._positions.get(span.parent_id) if span.parent_id else None
            parents.append(None if parent == position else parent)
        # Each span climbs until it meets a known path; meeting its own path is a circle, cut at its earliest span.
        state = [0] * len(parents)
        for start in range(len(parents)):
            path: list[int] = []
            here: int | None = start
            while here is not None and state[here] == 0:
                state[here] = 1
                path.append(here)
                here = parents[here]
            if here is not None and state[here] == 1:
                parents[min(path[path.index(here) :])] = None
            for position in path:
                state[position] = 2
        return parents

    @cached_property
    def _children(self) -> dict[int | None, list[int]]:
        children: dict[int | None, list[int]] = {}
        for position, parent in enumerate(self._parents):
            children.setdefault(parent, []).append(position)
        return children

    @cached_property
    def roots(self) -> tuple[Span, ...]:
        """Spans without a parent, earliest first."""
        return tuple(span for span in self.spans if span.parent_id is None)

    @cached_property
    def orphans(self) -> tuple[Span, ...]:
        """Spans that name a parent which is not in the trace (a phantom parent), or whose parents form a circle."""
        return tuple(span for span in self.tops if span.parent_id is not None)

    @cached_property
    def tops(self) -> tuple[Span, ...]:
        """Roots and orphans: each is the top of one connected piece of the trace."""
        return tuple(self.spans[position] for position in self._children.get(None, ()))

    def parent_of(self, span: Span) -> Span | None:
        parent = self._parents[self._place(span)]
        return None if parent is None else self.spans[parent]

    def children_of(self, span: Span) -> tuple[Span, ...]:
        return tuple(self.spans[position] for position in self._children.get(self._place(span), ()))

    def ancestors_of(self, span: Span) -> Iterator[Span]:
        """From the parent upwards."""
        parent = self._parents[self._place(span)]
        while parent is not None:
            yield self.spans[parent]
            parent = self._parents[parent]

    def descendants_of(self, span: Span) -> Iterator[Span]:
        """All spans below, in no promised order."""
        waiting = list(self._children.get(self._place(span), ()))
        while waiting:
            position = waiting.pop()
            yield self.spans[position]
            waiting.extend(self._children.get(position, ()))

    def walk(self) -> Iterator[Node]:
        """Every span once: parents before children, siblings in order of start."""
        tops = self._children.get(None, [])
        waiting = [(position, 0, position == tops[-1]) for position in reversed(tops)]
        while waiting:
            position, depth, last = waiting.pop()
            children = self._children.get(position, [])
            yield Node(self.spans[position], depth, last, len(children))
            waiting.extend((child, depth + 1, child == children[-1]) for child in reversed(children))

    @cached_property
    def depth(self) -> int:
        """Number of levels: 1 for a single span."""
        return 1 + max(node.depth for node in self.walk())

    @property
    def start_us(self) -> int:
        return self.spans[0].start_us

    @cached_property
    def end_us(self) -> int:
        return max(span.end_us for span in self.spans)

    @property
    def duration_us(self) -> int:
        """From the first start to the last end."""
        return self.end_us - self.start_us

    @cached_property
    def services(self) -> tuple[str, ...]:
        """Service names in order of first appearance."""
        return tuple(dict.fromkeys(span.service for span in self.spans))

    @cached_property
    def request_ids(self) -> frozenset[str]:
        return frozenset(span.request_id for span in self.spans if span.request_id)

    @property
    def error(self) -> bool:
        return any(span.error for span in self.spans)

    @property
    def complete(self) -> bool:
        """Exactly one root, and every parent present."""
        return len(self.roots) == 1 and not self.orphans

    def _place(self, span: Span) -> int:
        position = self._positions[span.span_id]
        if self.spans[position] is span:
            return position
        return next((at for at, other in enumerate(self.spans) if other is span), position)
