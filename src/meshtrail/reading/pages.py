"""All traces of a stretch of time, in pages: a search gives at most so many, and does not say which.

A page that is not full is everything there is in its time. A full one is asked again in narrower stretches; how narrow
follows from how many came. While one page is read the next one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from meshtrail.model.trace import Trace

PAGE = 500
NARROWEST_US = 1_000

Ask = Callable[[int, int, int], Any]
"""Ask for traces with a span that begins from `start_us` to `end_us`, at most so many. Called in another thread."""

Read = Callable[[Any], tuple[Trace, ...]]
"""The traces of an answer, in order of start."""


def pages(ask: Ask, read: Read, *, since_us: int, until_us: int, page: int = PAGE) -> Iterator[tuple[Trace, ...]]:
    """Page by page from the newest stretch to the oldest; a trace that touches two stretches comes twice."""
    start, end = since_us, until_us
    with ThreadPoolExecutor(1) as thread:
        early: tuple[int, int, Future[Any]] | None = None
        try:
            while end >= since_us:
                if early is not None and early[1] == end:
                    start, _, coming = early
                else:
                    coming = thread.submit(ask, start, end, page)
                answer, early = coming.result(), None
                width = end - start + 1
                if start > since_us:  # the next one, should this one be neither full nor thin
                    after = max(since_us, start - width), start - 1
                    early = *after, thread.submit(ask, *after, page)
                found = read(answer)
                if len(found) >= page and end - start > NARROWEST_US:
                    start = _narrower(found, start, end)
                    continue
                yield found
                end = start - 1
                if len(found) < page // 4:  # too thin: the one that was asked for early would be so, too
                    width, early = width * 4, None
                elif len(found) < page * 3 // 4:
                    width = width * page * 3 // 4 // len(found)
                start = max(since_us, end - width)
        finally:
            if early is not None:
                early[2].cancel()


def _narrower(found: tuple[Trace, ...], start: int, end: int) -> int:
    """Where the stretch may begin so that about three quarters of a page are in it.

    Usually what came are the newest; where it is not so, this takes a quarter off.
    """
    first, last = max(found[0].start_us, start), min(found[-1].start_us, end)
    return min(max(first + (last - first) // 4, start + (end - start) // 4), end - NARROWEST_US)
