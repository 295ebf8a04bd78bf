from __future__ import annotations

import random

import pytest

from meshtrail.errors import MeshtrailError
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace
from meshtrail.reading.pages import pages

NOW_US = 1_795_000_000_000_000
TWO_DAYS_US = 48 * 3_600_000_000


def at(number: int, start_us: int) -> Trace:
    return Trace.of([Span(f"{number:032x}", "1" * 16, None, "s", "n", "server", start_us, 1000)])


class Server:
    """Gives at most `limit` traces of a stretch: the newest, or any, as it likes."""

    def __init__(self, starts: list[int], *, newest: bool = True, seed: int = 1) -> None:
        self.traces = [at(number, start) for number, start in enumerate(starts)]
        self.newest = newest
        self.random = random.Random(seed)
        self.given = self.asked = 0

    def ask(self, start_us: int, end_us: int, limit: int) -> tuple[Trace, ...]:
        self.asked += 1
        found = [trace for trace in self.traces if start_us <= trace.start_us <= end_us]
        if self.newest:
            found.sort(key=lambda trace: -trace.start_us)
        else:
            self.random.shuffle(found)
        self.given += len(found[:limit])
        return tuple(found[:limit])

    def read(self, answer: tuple[Trace, ...]) -> tuple[Trace, ...]:
        return tuple(sorted(answer, key=lambda trace: trace.start_us))

    def all(self, *, since_us: int = NOW_US - TWO_DAYS_US, page: int = 50) -> set[str]:
        until_us = NOW_US + 60_000_000
        read = pages(self.ask, self.read, since_us=since_us, until_us=until_us, page=page)
        return {trace.trace_id for one in read for trace in one}


def steady(number: int) -> list[int]:
    return [NOW_US - at * 2_000 for at in range(number)]


def bursts(number: int) -> list[int]:
    chance = random.Random(2)
    moments = [NOW_US - chance.randrange(TWO_DAYS_US) for _ in range(6)]
    return [chance.choice(moments) + chance.randrange(2_000_000) for _ in range(number)]


@pytest.mark.parametrize("newest", [True, False], ids=["newest first", "any order"])
@pytest.mark.parametrize("starts", [steady(2000), bursts(2000), steady(49), steady(50), steady(51), []],
                         ids=["steady", "bursts", "49", "50", "51", "none"])  # fmt: skip
def test_every_trace_comes(starts: list[int], newest: bool) -> None:
    server = Server(starts, newest=newest)
    assert len(server.all()) == len(starts)
    # What is asked twice is bounded: the pages that were full, and one early question a page.
    assert server.given <= (4 if newest else 10) * len(starts) + 200
    assert server.asked <= len(starts) // 5 + 120


def test_what_fits_on_one_page_is_asked_once() -> None:
    server = Server(steady(30))
    assert len(server.all()) == 30
    assert server.asked == 1


def test_more_than_a_page_at_one_moment_ends() -> None:
    server = Server([NOW_US] * 200)
    assert len(server.all()) == 50


def test_a_question_that_fails_is_told() -> None:
    server = Server(steady(500))

    def ask(start_us: int, end_us: int, limit: int) -> tuple[Trace, ...]:
        if server.asked > 3:
            raise MeshtrailError("gone")
        return server.ask(start_us, end_us, limit)

    with pytest.raises(MeshtrailError, match="gone"):
        list(pages(ask, server.read, since_us=NOW_US - TWO_DAYS_US, until_us=NOW_US, page=50))
