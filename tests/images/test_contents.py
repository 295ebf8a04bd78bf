"""What is in an image of Python: the packages of its form, no SDK in the plain one, no tools. Of every image: nothing
secret, labels, and a check of its health.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
from typing import Any

import docker
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.images.support import IMAGES, PYTHON, ServiceImage
from tests.support.mesh import ROOT

pytestmark = [pytest.mark.compose, pytest.mark.usefixtures("built")]

each_image = pytest.mark.parametrize("image", IMAGES, ids=str)
each_python = pytest.mark.parametrize("image", PYTHON, ids=str)
ENTRYPOINTS = {
    "python": ["python", "-m", "{service}.{form}"],
    "node": ["node", "{form}.js"],
    "go": ["/app/{service}"],
}

# Runs in the container: what is installed, what can be called, which files of ours there are, which are writable.
LOOK = """
import importlib.metadata, json, os
files = [os.path.join(folder, name) for top in ("/opt", "/app", "/usr/local")
         for folder, folders, names in os.walk(top) for name in names]
print(json.dumps({
    "packages": [found.metadata["Name"] for found in importlib.metadata.distributions()],
    "programs": [name for folder in os.get_exec_path() if os.path.isdir(folder) for name in os.listdir(folder)],
    "files": files,
    "writable": [file for file in files + ["/app", "/app/python", "/opt/venv"] if os.access(file, os.W_OK)],
}))
"""


@pytest.fixture(scope="module")
def inside(client: docker.DockerClient) -> Any:
    """Look into an image, once each."""

    @functools.cache
    def look(image: ServiceImage) -> dict[str, list[str]]:
        out = client.containers.run(image.name, ["-c", LOOK], entrypoint="python", remove=True, read_only=True)
        found: dict[str, list[str]] = json.loads(out)
        return found

    return look


def required(image: ServiceImage) -> set[str]:
    """The packages of its requirements file that a CPython on Linux takes."""
    lines = [line.rstrip("\\ ") for line in image.requirements.read_text().splitlines() if re.match(r"\w", line)]
    found = [Requirement(line) for line in lines]
    return {
        canonicalize_name(entry.name)
        for entry in found
        if not entry.marker or entry.marker.evaluate({"python_version": "3.13", "python_full_version": "3.13.11"})
    }


@each_python
def test_holds_exactly_the_packages_of_its_form(image: ServiceImage, inside: Any) -> None:
    assert {canonicalize_name(name) for name in inside(image)["packages"]} == required(image)


@each_python
def test_sdk_is_in_the_otel_image_alone(image: ServiceImage, inside: Any) -> None:
    found = inside(image)
    sdk = [name for name in found["packages"] if re.match("opentelemetry-(sdk|exporter|instrumentation|prop)", name)]
    files = [file for file in found["files"] if re.search("/opentelemetry/(sdk|exporter|instrumentation)/", file)]
    if image.form == "otel":
        assert "opentelemetry-sdk" in sdk
        assert files
    else:
        assert not sdk
        assert not files


@each_python
def test_each_service_has_its_own_libraries_alone(image: ServiceImage, inside: Any) -> None:
    of = {
        "frontend": {"fastapi", "httpx"},
        "backend": {"flask", "waitress", "httpx"},
        "database": {"fastapi", "psycopg"},
        "productpage": {"flask", "waitress", "urllib3", "prometheus-client"},
        "details": {"flask", "waitress", "urllib3"},
        "reviews": {"flask", "waitress", "urllib3"},
        "ratings": {"flask", "waitress", "psycopg"},
        "helloworld": {"flask", "waitress"},
    }
    anyones = set().union(*of.values())
    found = anyones & {canonicalize_name(name) for name in inside(image)["packages"]}
    # The exporter brings requests, and that urllib3.
    assert found - {"urllib3"} == of[image.service] - {"urllib3"}
    assert image.form == "otel" or found == of[image.service]


@each_python
def test_no_tools_and_no_tests(image: ServiceImage, inside: Any) -> None:
    found = inside(image)
    tools = re.compile(r"(pip|uv|gcc|cc|g\+\+|make|ld|git|curl|wget|watchfiles)[\d.]*")
    assert [name for name in found["programs"] if tools.fullmatch(name)] == []
    assert [file for file in found["files"] if re.search(r"/(pip|ensurepip|setuptools|opt/live)/", file)] == []


@each_python
def test_holds_the_code_and_nothing_that_it_could_write(image: ServiceImage, inside: Any) -> None:
    found = inside(image)
    assert f"/app/python/{image.service}/{image.form}.py" in found["files"]
    assert "/app/headers.json" in found["files"]
    others = [file for file in found["files"] if file.startswith("/app") and not file.endswith((".py", ".json"))]
    page = re.compile(r"/app/python/productpage/(templates/\w+\.html|static/\w+\.(css|svg))")
    assert [file for file in others if not page.fullmatch(file)] == []
    assert found["writable"] == []


@each_python
def test_libraries_are_compiled(image: ServiceImage, inside: Any) -> None:
    # A read-only root would compile them anew at each start.
    files = set(inside(image)["files"])
    sources = [file for file in files if re.fullmatch(r"/opt/venv/.*/(httpx|fastapi|flask|psycopg)/[^/]+\.py", file)]
    sources += [file for file in files if re.fullmatch(r"/usr/local/lib/python3\.\d+/(asyncio|json)/[^/]+\.py", file)]
    compiled = {re.sub(r"/__pycache__/(.+)\.cpython-\d+\.pyc$", r"/\1.py", file) for file in files}
    assert len(sources) > 40
    assert set(sources) - compiled == set()


@each_image
def test_is_described(image: ServiceImage, client: docker.DockerClient) -> None:
    config = client.images.get(image.name).attrs["Config"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == f"meshtrail {image.service}, {image.form}"
    assert labels["version"] == "0.1.0"
    assert labels["licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels["revision"])
    assert {"description", "source"} <= set(labels)
    assert config["User"] == "10001:10001"
    # Without a shell before it, so that it gets the signals.
    names = {"service": image.service, "form": image.form}
    assert config["Entrypoint"] == [word.format(**names) for word in ENTRYPOINTS[image.language]]
    assert not config.get("Cmd") or config["Cmd"] in (["python3"], ["node"])
    assert config["Healthcheck"]["Test"][:2] == ["CMD", config["Entrypoint"][0]]


@each_image
def test_history_has_no_secret(image: ServiceImage, client: docker.DockerClient) -> None:
    found = client.images.get(image.name)
    steps = [step["CreatedBy"] for step in found.history()]
    assert any("headers.json" in step or "/app" in step for step in steps)
    told = "\n".join([*steps, *found.attrs["Config"]["Env"], *found.attrs["Config"]["Labels"].values()])
    assert re.findall(r"(?i)passw|secret|token|PIP_INDEX_URL|REGISTRY|GOPROXY|://[^/\s]*@", told) == []


def test_sizes_are_told_and_small() -> None:
    done = subprocess.run([ROOT / "scripts/image-sizes"], capture_output=True, text=True, timeout=60, check=True)
    _, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines())
    megabytes = {name.strip("`"): [float(size) for size in sizes] for name, *sizes in rows}
    assert set(megabytes) == {image.name.partition(":")[0] for image in IMAGES}
    for packages, code, total in megabytes.values():
        assert packages <= total < 80
        assert code < 40
