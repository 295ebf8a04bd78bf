"""How an image is built: what an edit builds anew, and what scripts/build-images lets in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.images.support import build_images
from tests.support.mesh import ROOT, unique_name

pytestmark = [pytest.mark.compose, pytest.mark.usefixtures("built")]


@pytest.fixture
def tag(client: docker.DockerClient) -> Iterator[str]:
    """A tag of the test's own; the images that it names are removed, Docker's cache is not."""
    tag = unique_name()
    yield tag
    for image in client.images.list():
        for name in image.tags:
            if name.endswith(f":{tag}"):
                client.images.remove(name, noprune=True)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of services/ and of the script."""
    shutil.copytree(ROOT / "services", tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "build-images", tmp_path / "scripts")
    return tmp_path


def layers(client: docker.DockerClient, name: str) -> list[str]:
    found: list[str] = client.images.get(name).attrs["RootFS"]["Layers"]
    return found


def edit(file: Path) -> None:
    file.write_text(file.read_text() + "\n# Edited.\n")


def test_an_edit_makes_only_the_last_layers_anew(client: docker.DockerClient, sources: Path, tag: str) -> None:
    name = "meshtrail/frontend-python"
    build_images("--form", "plain", "--tag", tag, "--lang", "python", "frontend", root=sources)
    before = layers(client, f"{name}:{tag}")
    # Where the sources are does not matter.
    assert before == layers(client, f"{name}:0.1.0")

    edit(sources / "services/frontend/python/frontend/app.py")
    build_images("--form", "plain", "--tag", tag, "--lang", "python", "frontend", root=sources)
    after = layers(client, f"{name}:{tag}")
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]

    edit(sources / "services/common/python/meshtrail_common/asgi.py")
    build_images("--form", "plain", "--tag", tag, "--lang", "python", "frontend", root=sources)
    assert layers(client, f"{name}:{tag}")[:-2] == before[:-2]

    # Other services, documentation and what Python leaves behind build nothing.
    edited = client.images.get(f"{name}:{tag}").id
    edit(sources / "services/backend/python/backend/app.py")
    (sources / "services/frontend/python/README.md").write_text("Read me.\n")
    (sources / "services/frontend/python/frontend/__pycache__").mkdir()
    (sources / "services/frontend/python/frontend/__pycache__/app.pyc").write_bytes(b"\0")
    build_images("--form", "plain", "--tag", tag, "--lang", "python", "frontend", root=sources)
    assert client.images.get(f"{name}:{tag}").id == edited


def test_services_share_python(client: docker.DockerClient) -> None:
    # Below the dependencies all is the same, so a node pulls and keeps it once.
    base = client.images.get("meshtrail/frontend-python:0.1.0")
    shared = len(layers(client, "meshtrail/frontend-python:0.1.0")) - 5
    for other in ("frontend-python-otel", "backend-python", "database-python-otel"):
        assert layers(client, f"meshtrail/{other}:0.1.0")[:shared] == base.attrs["RootFS"]["Layers"][:shared]


def test_password_of_the_remote_stays_out(client: docker.DockerClient, sources: Path, tag: str) -> None:
    for command in (
        ["init", "--quiet"],
        ["remote", "add", "origin", "https://user:hunter2@git.example/meshtrail.git"],
        ["add", "services"],
        ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-m", "Sources"],
    ):
        subprocess.run(["git", *command], cwd=sources, check=True)
    build_images("--form", "plain", "--tag", tag, "--lang", "python", "frontend", root=sources)
    image = client.images.get(f"meshtrail/frontend-python:{tag}")
    assert image.labels["org.opencontainers.image.source"] == "https://git.example/meshtrail.git"
    assert image.labels["org.opencontainers.image.version"] == tag
    committed = subprocess.run(["git", "rev-parse", "HEAD"], cwd=sources, capture_output=True, text=True, check=True)
    assert image.labels["org.opencontainers.image.revision"] == committed.stdout.strip()
    assert "hunter2" not in str(image.attrs) + str(image.history())

    edit(sources / "services/frontend/python/frontend/app.py")
    build_images("--form", "plain", "--tag", tag, "--lang", "python", "frontend", root=sources)
    labels = client.images.get(f"meshtrail/frontend-python:{tag}").labels
    assert labels["org.opencontainers.image.revision"] == committed.stdout.strip() + "-dirty"
