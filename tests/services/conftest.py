"""Fixtures of the service tests: one process per implementation and form, shared by the tests of all modules.

A service takes a second of CPU to start, so the tests of one implementation and form stand one after another, on one
pytest-xdist worker, and the process lives until another one's turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

import pytest
from tests.services.harness import CALLERS, FORMS, IMPLEMENTATIONS, KINDS, Collector, Implementation, Process, Upstream

UPSTREAM_TIMEOUT = 1.5  # seconds; where a service lets it be chosen
GROUP = "service-"  # of pytest-xdist


def each(implementations: Iterable[Implementation], forms: Iterable[str] = FORMS) -> list[object]:
    """The parameters of a fixture or test that asks for a running service, with the group that shares the process."""
    return [
        pytest.param((one, form), id=f"{one}-{form}", marks=pytest.mark.xdist_group(f"{GROUP}{one}-{form}"))
        for one in implementations
        for form in forms
    ]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests that share a process together; the order within them, and of all others, stays."""

    def group(item: pytest.Item) -> str:
        marker = item.get_closest_marker("xdist_group")
        name = str(marker.args[0]) if marker and marker.args else ""
        return name if name.startswith(GROUP) else ""

    items.sort(key=group)


class Setup:
    """A running service with the upstream and the collector that it talks to."""

    def __init__(self, process: Process, upstream: Upstream, collector: Collector) -> None:
        self.process = process
        self.upstream = upstream
        self.collector = collector
        self.implementation = process.implementation
        self.form = process.form


class Running:
    """Keeps the last service that was asked for running."""

    def __init__(self) -> None:
        self._key: tuple[Implementation, str] | None = None
        self._setup: Setup | None = None
        self._stack = ExitStack()

    def get(self, implementation: Implementation, form: str) -> Setup:
        if self._setup is None or self._key != (implementation, form) or self._setup.process.popen.poll() is not None:
            self.stop()
            self._setup = self._start(implementation, form)
            self._key = implementation, form
        self._setup.upstream.reset()
        if self._setup.process.mode != "all":
            self._setup.process.switch("all")
        return self._setup

    def _start(self, implementation: Implementation, form: str) -> Setup:
        upstream = self._stack.enter_context(Upstream(implementation.upstream_answer))
        collector = self._stack.enter_context(Collector())
        environment = {
            "PROPAGATION_CONTROL": "on",
            "CONTROL_PORT": "0",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        }
        environment |= implementation.upstream_at(upstream.url, UPSTREAM_TIMEOUT)
        return Setup(self._stack.enter_context(Process(implementation, form, **environment)), upstream, collector)

    def stop(self) -> None:
        self._setup = None
        self._stack.close()


@pytest.fixture(scope="session")
def _services() -> Iterator[Callable[[Implementation, str], Setup]]:
    services = Running()
    yield services.get
    services.stop()


@pytest.fixture(params=each(IMPLEMENTATIONS))
def running(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """Each service in each form."""
    return _services(*request.param)


@pytest.fixture(params=each(CALLERS))
def calling(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """Each service that calls another, in each form."""
    return _services(*request.param)


@pytest.fixture(params=each([one for one in KINDS if one.upstream]))
def calling_kind(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """A service that calls another, one for each way of serving, in each form."""
    return _services(*request.param)


@pytest.fixture(params=each([one for one in CALLERS if one.failure_status]))
def failing(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """Each service that calls another and says in the common way that it failed, in each form."""
    return _services(*request.param)


@pytest.fixture(params=each(IMPLEMENTATIONS, ("otel",)))
def traced(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """Each service in the otel form."""
    return _services(*request.param)


@pytest.fixture(params=each(CALLERS, ("otel",)))
def traced_calling(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """Each service that calls another, in the otel form."""
    return _services(*request.param)


@pytest.fixture(params=each([one for one in CALLERS if one.failure_status], ("otel",)))
def traced_failing(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """Each service that calls another and says in the common way that it failed, in the otel form."""
    return _services(*request.param)
