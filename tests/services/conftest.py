"""Fixtures of the service tests: one process per implementation and form, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.services.harness import CALLERS, FORMS, IMPLEMENTATIONS, Collector, Implementation, Process, Upstream


def _each(implementations: tuple[Implementation, ...], forms: tuple[str, ...] = FORMS) -> list[object]:
    return [pytest.param((one, form), id=f"{one}-{form}") for one in implementations for form in forms]


class Setup:
    """A running service with the upstream and the collector that it talks to."""

    def __init__(self, process: Process, upstream: Upstream, collector: Collector) -> None:
        self.process = process
        self.upstream = upstream
        self.collector = collector
        self.implementation = process.implementation
        self.form = process.form


def _setup(request: pytest.FixtureRequest) -> Iterator[Setup]:
    implementation, form = request.param
    with Upstream(implementation.upstream_answer) as upstream, Collector() as collector:
        environment = {
            "PROPAGATION_CONTROL": "on",
            "CONTROL_PORT": "0",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        }
        if implementation.upstream:
            environment |= {implementation.upstream_variable: upstream.url, "UPSTREAM_TIMEOUT": "1.5"}
        with Process(implementation, form, **environment) as process:
            yield Setup(process, upstream, collector)


@pytest.fixture(scope="module", params=_each(IMPLEMENTATIONS))
def _running(request: pytest.FixtureRequest) -> Iterator[Setup]:
    yield from _setup(request)


@pytest.fixture(scope="module", params=_each(CALLERS))
def _calling(request: pytest.FixtureRequest) -> Iterator[Setup]:
    yield from _setup(request)


@pytest.fixture(scope="module", params=_each(IMPLEMENTATIONS, ("otel",)))
def _traced(request: pytest.FixtureRequest) -> Iterator[Setup]:
    yield from _setup(request)


@pytest.fixture(scope="module", params=_each(CALLERS, ("otel",)))
def _traced_calling(request: pytest.FixtureRequest) -> Iterator[Setup]:
    yield from _setup(request)


@pytest.fixture
def running(_running: Setup) -> Setup:
    """Each service in each form."""
    _running.upstream.reset()
    return _running


@pytest.fixture
def calling(_calling: Setup) -> Setup:
    """Each service that calls another, in each form."""
    _calling.upstream.reset()
    _calling.process.switch("all")
    return _calling


@pytest.fixture
def traced(_traced: Setup) -> Setup:
    """Each service in the otel form."""
    _traced.upstream.reset()
    _traced.process.switch("all")
    return _traced


@pytest.fixture
def traced_calling(_traced_calling: Setup) -> Setup:
    """Each service that calls another, in the otel form."""
    _traced_calling.upstream.reset()
    _traced_calling.process.switch("all")
    return _traced_calling
