"""What all tests on a cluster share: the address of its Jaeger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.support import jaeger_url


@pytest.fixture(scope="session")
def jaeger() -> Iterator[str]:
    """Jaeger's query address; skips the test when there is no cluster."""
    with jaeger_url() as url:
        yield url
