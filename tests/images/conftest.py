"""The Docker daemon, and the images as scripts/build-images builds them."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from docker.errors import DockerException
from tests.images.support import build_images
from tests.support.absent import absent


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env(timeout=60)
    except DockerException as error:
        absent(f"no Docker daemon: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def built(client: docker.DockerClient) -> None:
    """All images, of the sources as they are now; a second build takes everything from Docker's cache."""
    build_images()
