"""Where traces come from when many are looked at: a Jaeger, or a file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from meshtrail.errors import MeshtrailError
from meshtrail.model.trace import Trace
from meshtrail.reading.access import Access
from meshtrail.reading.files import read_traces
from meshtrail.reading.jaeger import MAX_SERVICES, JaegerClient
from meshtrail.reading.pages import pages

TIMEOUT_S = 30.0
"""A page of whole traces takes longer than one trace."""

AHEAD_US = 60_000_000
"""How far the clocks that wrote spans may be ahead of this machine's."""

JAEGERS_OWN = frozenset({"jaeger", "jaeger-query", "jaeger-all-in-one"})
"""Jaeger traces itself: each question to it would be among the answers to the next."""


class Source(Protocol):
    """`address` is for messages: it names no secret."""

    @property
    def address(self) -> str: ...

    def traces(self, *, service: str | None, since_us: int, limit: int) -> Iterator[Trace]:
        """Whole traces that began at `since_us` (microseconds since the epoch) or later, at most `limit`, each once.

        Those that touch `service`, if given. The newest first, as far as the source can tell. Raises MeshtrailError.
        """
        ...


def from_jaeger(access: Access, *, timeout_s: float | None = None) -> Source:
    """A Jaeger, asked page by page while the traces are taken; each question waits `timeout_s` (30) at most."""
    return _Jaeger(access, TIMEOUT_S if timeout_s is None else timeout_s)


def from_file(path: str | Path) -> Source:
    """A file, read when its traces are asked for; `-` is standard input."""
    return _File(str(path))


class _Jaeger:
    def __init__(self, access: Access, timeout_s: float) -> None:
        self._access = access
        self._timeout_s = timeout_s

    @property
    def address(self) -> str:
        return self._access.url

    def traces(self, *, service: str | None, since_us: int, limit: int) -> Iterator[Trace]:
        with JaegerClient(self._access, timeout_s=self._timeout_s) as client:
            yield from _once(_found(client, service, since_us), since_us, limit, own=service in JAEGERS_OWN)


def _found(client: JaegerClient, service: str | None, since_us: int) -> Iterator[Trace]:
    until_us = int(time.time() * 1_000_000) + AHEAD_US
    services = client.services() if service is None else (service,)
    ask_all = service is None and bool(services)
    everything = client.search_all(start_us=since_us, end_us=until_us) if ask_all else None
    if everything is None and len(services) > MAX_SERVICES:
        raise MeshtrailError(
            f"{client.url} knows {len(services)} services, too many to ask for each",
            mend="name one with --service, for instance the ingress gateway",
        )
    for searching in [everything] if everything else map(client.search, services):
        for page in pages(searching.ask, searching.read, since_us=since_us, until_us=until_us):
            yield from reversed(page)


class _File:
    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def address(self) -> str:
        return "standard input" if self._path == "-" else self._path

    def traces(self, *, service: str | None, since_us: int, limit: int) -> Iterator[Trace]:
        newest_first = reversed(read_traces(self._path))
        touching = (trace for trace in newest_first if service is None or service in trace.services)
        yield from _once(touching, since_us, limit, own=service in JAEGERS_OWN)


def _once(traces: Iterable[Trace], since_us: int, limit: int, *, own: bool) -> Iterator[Trace]:
    seen: set[str] = set()
    for trace in traces:
        if len(seen) >= limit:
            return
        if trace.trace_id in seen or trace.start_us < since_us:
            continue
        if not own and JAEGERS_OWN.issuperset(trace.services):
            continue
        seen.add(trace.trace_id)
        yield trace
