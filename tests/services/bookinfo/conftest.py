"""Fixtures of Bookinfo's own rules: the processes that the common contract runs on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.services.bookinfo.shop import PRODUCTPAGE, play
from tests.services.conftest import Setup, each
from tests.services.harness import Implementation, implementation

DETAILS, REVIEWS, RATINGS = (implementation(service) for service in ("details", "reviews", "ratings"))


@pytest.fixture(params=each([DETAILS, REVIEWS, RATINGS]))
def book_service(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """details, reviews and ratings, in each form."""
    return _services(*request.param)


@pytest.fixture(params=each([REVIEWS]))
def reviews(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """reviews v3, whose ratings the tests play, in each form."""
    return _services(*request.param)


@pytest.fixture(params=each([REVIEWS], ("otel",)))
def traced_reviews(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """reviews v3 in the otel form."""
    return _services(*request.param)


@pytest.fixture(params=each([RATINGS]))
def ratings(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """ratings v1, in each form."""
    return _services(*request.param)


@pytest.fixture(params=each([PRODUCTPAGE]))
def shop(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    """productpage in each form, with details, reviews and ratings that the tests play."""
    setup = _services(*request.param)
    setup.process.client.cookies.clear()
    play(setup)
    return setup


@pytest.fixture(params=each([PRODUCTPAGE], ("otel",)))
def traced_shop(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    setup = _services(*request.param)
    play(setup)
    return setup
