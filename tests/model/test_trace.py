from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtrail.model.span import Span
from meshtrail.model.trace import Trace


def span(number: int, parent: int | None, *, start: int = 0, duration: int = 10, kind: str = "internal") -> Span:
    return Span(
        trace_id="a" * 32,
        span_id=f"{number:016x}",
        parent_id=None if parent is None else f"{parent:016x}",
        service="service",
        name=f"work {number}",
        kind=kind,  # type: ignore[arg-type]
        start_us=start,
        duration_us=duration,
    )


def shape(trace: Trace) -> list[tuple[int, int]]:
    return [(int(node.span.span_id, 16), node.depth) for node in trace.walk()]


def test_a_tree_is_walked_parents_first_and_siblings_by_start() -> None:
    trace = Trace.of([span(3, 1, start=5), span(1, None), span(2, 1, start=9), span(4, 3, start=6)])
    assert shape(trace) == [(1, 0), (3, 1), (4, 2), (2, 1)]
    assert [node.last for node in trace.walk()] == [True, False, True, True]
    assert trace.complete
    assert trace.depth == 3
    assert (trace.start_us, trace.duration_us) == (0, 19)


def test_a_phantom_parent_makes_an_orphan() -> None:
    trace = Trace.of([span(1, None), span(2, 9, start=1), span(3, 2, start=2)])
    assert [orphan.span_id for orphan in trace.orphans] == [f"{2:016x}"]
    assert shape(trace) == [(1, 0), (2, 0), (3, 1)]
    assert not trace.complete


def test_two_roots_are_not_complete() -> None:
    trace = Trace.of([span(1, None), span(2, None, start=1)])
    assert len(trace.roots) == 2
    assert not trace.orphans
    assert not trace.complete


def test_a_single_orphan_is_not_complete() -> None:
    assert not Trace.of([span(1, 9)]).complete


def test_a_circle_is_cut_at_its_earliest_span() -> None:
    trace = Trace.of([span(1, 3, start=1), span(2, 1, start=2), span(3, 2, start=3), span(4, 3, start=4)])
    assert shape(trace) == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert [orphan.span_id for orphan in trace.orphans] == [f"{1:016x}"]


def test_a_span_that_is_its_own_parent_is_an_orphan() -> None:
    trace = Trace.of([span(1, 1), span(2, 1, start=1)])
    assert shape(trace) == [(1, 0), (2, 1)]
    assert not trace.complete


def test_children_of_a_shared_span_id_belong_to_its_server_half() -> None:
    client, server, below = span(1, None, kind="client"), span(1, None, start=1, kind="server"), span(2, 1, start=2)
    trace = Trace.of([client, server, below])
    assert trace.children_of(server) == (below,)
    assert trace.children_of(client) == ()
    assert trace.parent_of(below) is server


def test_relations() -> None:
    trace = Trace.of([span(1, None), span(2, 1), span(3, 2), span(4, 2)])
    one, two, three, four = trace.spans
    assert list(trace.ancestors_of(three)) == [two, one]
    assert set(map(id, trace.descendants_of(one))) == set(map(id, (two, three, four)))
    assert trace.parent_of(one) is None


def test_spans_of_two_traces_are_refused() -> None:
    other = Span("b" * 32, "1" * 16, None, "service", "work", "internal", 0, 1)
    with pytest.raises(ValueError, match="one trace id"):
        Trace.of([span(1, None), other])
    with pytest.raises(ValueError, match="one trace id"):
        Trace.of([])


def test_a_chain_of_ten_thousand_does_not_recurse() -> None:
    trace = Trace.of(span(number, number - 1 or None, start=number) for number in range(1, 10_001))
    assert trace.depth == 10_000
    assert trace.complete


@given(st.lists(st.tuples(st.integers(1, 12), st.none() | st.integers(1, 14)), min_size=1, max_size=24))
def test_every_span_is_walked_exactly_once_whatever_the_parents_say(links: list[tuple[int, int | None]]) -> None:
    trace = Trace.of(span(number, parent, start=at) for at, (number, parent) in enumerate(links))
    walked = [id(node.span) for node in trace.walk()]
    assert sorted(walked) == sorted(map(id, trace.spans))
    assert len(trace.tops) == sum(node.depth == 0 for node in trace.walk())
