"""What all tests on a cluster share: the address of its Jaeger, and one deployment of the staging overlay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.support import Application, Object, build, deployed, jaeger_url

STAGING = "k8s/overlays/staging"


@pytest.fixture(scope="session")
def jaeger() -> Iterator[str]:
    """Jaeger's query address; skips the test when there is no cluster."""
    with jaeger_url() as url:
        yield url


@pytest.fixture(scope="session")
def staging() -> Iterator[Application]:
    """The staging overlay: PostgreSQL, policies, two pods of each service. A test leaves it as it found it.

    The mesh's sampling stays at 100 %: mesh-wide objects are left out.
    """
    with deployed(STAGING, change=with_secret) as application:
        yield application


def with_secret(objects: list[Object]) -> list[Object]:
    """The Secret that a user makes by hand; here it is that of development."""
    return [*objects, *(one for one in build("k8s/overlays/dev-postgres/workloads") if one["kind"] == "Secret")]
