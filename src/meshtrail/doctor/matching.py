"""Which calls without a parent were made for which requests: matched by time, and how far chance would explain it.

A proxy knows the time exactly: the call of a request begins while the request is in progress. Under load many requests
are, so that a single match says nothing. Three things together do: how many of the calls begin during a request, how
much of the time there was such a request at all, and how many of the requests that lack such a call get one by the
matching.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshtrail.doctor.seen import Server


class Timed(Protocol):
    @property
    def start_us(self) -> int: ...

    @property
    def end_us(self) -> int: ...

    @property
    def node(self) -> str: ...


@dataclass(frozen=True)
class Match:
    """`of` has for each call, in the order given, the request that it began in, or None.

    `coverage` is the share of the time in which one of the requests was in progress.
    """

    of: tuple[Server | None, ...]
    coverage: float

    @property
    def inside(self) -> int:
        return sum(server is not None for server in self.of)

    @property
    def servers(self) -> list[Server]:
        """The different requests that got a call."""
        return list({id(server): server for server in self.of if server is not None}.values())

    @property
    def chance(self) -> float:
        """Upper bound of the probability that as many calls at random times begin in a request (Chernoff's)."""
        if not self.of:
            return 1.0
        share = self.inside / len(self.of)
        if share <= self.coverage:
            return 1.0
        exponent = share * math.log(share / self.coverage) if self.coverage else math.inf
        if share < 1:
            exponent += (1 - share) * math.log((1 - share) / (1 - self.coverage))
        return math.exp(-min(700.0, len(self.of) * exponent))


def match(calls: Sequence[Timed], servers: Iterable[Server], *, extend_us: int = 0) -> Match:
    """Each call with a request of its pod in whose time it begins, each request taken once while there is another.

    `extend_us` lets a request last so much longer. A pod is Envoy's node id; where one does not say it, any will do.
    """
    by_node: dict[str, list[Server]] = {}
    for server in servers:
        by_node.setdefault(server.node, []).append(server)
    of: list[Server | None] = [None] * len(calls)
    covered = length = 0.0
    for node in {call.node for call in calls}:
        if node and (node in by_node or "" not in by_node):
            mine = by_node.get(node, [])
        else:
            mine = [server for one in by_node.values() for server in one]
        places = [place for place, call in enumerate(calls) if call.node == node]
        places.sort(key=lambda place: calls[place].start_us)
        mine.sort(key=lambda server: server.start_us)
        _sweep(calls, places, mine, extend_us, of)
        if mine:
            first = min(mine[0].start_us, calls[places[0]].start_us)
            last = max(max(server.end_us for server in mine), max(calls[place].end_us for place in places))
            covered += len(places) * _union(mine, extend_us)
            length += len(places) * max(1, last - first)
        else:
            length += len(places)
    return Match(tuple(of), min(1.0, covered / length) if length else 0.0)


def _sweep(
    calls: Sequence[Timed], places: list[int], servers: list[Server], extend_us: int, of: list[Server | None]
) -> None:
    """Calls in order of start; `free` are requests in progress that have none yet, by their end."""
    coming = 0
    free: list[tuple[int, int]] = []
    taken: list[tuple[int, int]] = []
    for place in places:
        call = calls[place]
        while coming < len(servers) and servers[coming].start_us <= call.start_us:
            insort(free, (servers[coming].end_us + extend_us, coming))
            coming += 1
        del free[: bisect_right(free, (call.start_us, -1))]
        # The request that ends first of those that outlast the call; a caller that hung up ends one before its call.
        at = bisect_right(free, (call.end_us, -1))
        if free:
            entry = free.pop(at if at < len(free) else -1)
            of[place] = servers[entry[1]]
            heapq.heappush(taken, (-entry[0], entry[1]))
        else:
            while taken and -taken[0][0] < call.start_us:
                heapq.heappop(taken)
            if taken:
                of[place] = servers[taken[0][1]]


def _union(servers: Iterable[Server], extend_us: int) -> int:
    """Length of the time in which at least one is in progress; `servers` in order of start."""
    total, until = 0, 0
    for server in servers:
        end = server.end_us + extend_us
        if end > until:
            total += end - max(until, server.start_us)
            until = end
    return total
