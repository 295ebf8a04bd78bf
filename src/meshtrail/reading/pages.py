"""All traces of a stretch of time, in pages: a search gives at most so many, and does not say which.

A page that is not full is everything there is in its time. A full one is asked again in narrower stretches; how narrow
follows from how many came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from meshtrail.model.trace import Trace

PAGE = 400
NARROWEST_US = 1_000

Find = Callable[[int, int, int], tuple[Trace, ...]]
"""Traces with a span that begins from `start_us` to `end_us`, at most so many."""


def pages(find: Find, *, since_us: int, until_us: int, page: int = PAGE) -> Iterator[tuple[Trace, ...]]:
    """Page by page from the newest stretch to the oldest; a trace that touches two stretches comes twice."""
    found = find(since_us, until_us, page)
    if len(found) < page or until_us - since_us <= NARROWEST_US:
        yield found
        return
    # Usually these are the newest; then they say how dense traces are. Where not, the first guess is only worse.
    end = until_us
    width = max(NARROWEST_US, (end - min(max(found[0].start_us, since_us), end)) * 2 // 3)
    while end > since_us:
        start = max(since_us, end - width)
        found = find(start, end, page)
        if len(found) >= page and end - start > NARROWEST_US:
            width = max(NARROWEST_US, (end - start) // 2)
            continue
        yield found
        end = start - 1
        if len(found) < page // 4:
            width = (width + 1) * 4
        elif len(found) < page * 2 // 3:
            width = width * page * 2 // 3 // len(found)
