"""What is in the images of Node and Go: what their form needs, no tools, no shell where there is none to need."""

from __future__ import annotations

import functools
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import docker
import pytest
from tests.images.support import IMAGES, ServiceImage
from tests.support.absent import absent

pytestmark = [pytest.mark.compose, pytest.mark.usefixtures("built")]

each_node = pytest.mark.parametrize("image", [one for one in IMAGES if one.language == "node"], ids=str)
each_go = pytest.mark.parametrize("image", [one for one in IMAGES if one.language == "go"], ids=str)
SDK = "go.opentelemetry.io/otel/sdk"


@pytest.fixture(scope="module")
def files(client: docker.DockerClient) -> Any:
    """All of an image, as (name, entry) of a tar in memory, once each."""

    @functools.cache
    def look(image: ServiceImage) -> tarfile.TarFile:
        container = client.containers.create(image.name)
        try:
            chunks: Any = container.export()
            return tarfile.open(fileobj=io.BytesIO(b"".join(chunks)))
        finally:
            container.remove()

    return look


def names(archive: tarfile.TarFile, below: str = "") -> set[str]:
    """The files below a folder of an image."""
    return {one.name for one in archive.getmembers() if not one.isdir() and one.name.startswith(below)}


@each_node
def test_node_holds_the_packages_of_its_form(image: ServiceImage, files: Any) -> None:
    found = files(image)
    lock = json.loads((image.folder / "package-lock.json").read_text())["packages"]
    wanted = {name for name, one in lock.items() if name and (image.form == "otel" or not one.get("optional"))}
    installed = {name.removeprefix("app/").removesuffix("/package.json") for name in names(found, "app/node_modules/")}
    assert wanted <= installed
    scopes = {name.split("/")[1] for name in installed if name.startswith("node_modules/")}
    assert ("@opentelemetry" in scopes) == (image.form == "otel")
    assert "express" in scopes


@each_node
def test_node_has_no_tools_and_nothing_that_it_could_write(image: ServiceImage, files: Any) -> None:
    found = files(image)
    programs = {Path(name).name for name in names(found) if name.startswith(("usr/local/bin/", "usr/bin/", "bin/"))}
    assert programs & {"npm", "npx", "yarn", "yarnpkg", "corepack", "gcc", "git", "make"} == set()
    assert not names(found, "usr/local/lib/node_modules/")
    assert f"app/frontend/node/{image.form}.js" in names(found)
    assert "app/common/headers.json" in names(found)
    assert not [name for name in names(found, "app/frontend/") if "node_modules" in name or name.endswith("Dockerfile")]
    ours = [one for one in found.getmembers() if one.name.startswith("app/")]
    assert [one.name for one in ours if one.uid == 10001 or (one.mode & 0o002 and not one.issym())] == []


@each_go
def test_go_is_one_static_program(image: ServiceImage, files: Any, tmp_path: Path) -> None:
    found = files(image)
    assert names(found, "app/") == {f"app/{image.service}"}
    # No shell, no package manager: nothing to run but the service.
    assert not [name for name in names(found) if name.startswith(("bin/", "usr/bin/", "usr/sbin/", "sbin/"))]
    go = shutil.which("go") or absent("no Go to read a program with: https://go.dev/dl")
    program = tmp_path / image.service
    content = found.extractfile(f"app/{image.service}")
    program.write_bytes(content.read())
    said = subprocess.run([go, "version", "-m", program], capture_output=True, text=True, check=True).stdout
    assert "CGO_ENABLED=0" in said
    assert "-trimpath=true" in said
    assert (SDK in said) == (image.form == "otel")
