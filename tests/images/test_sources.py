"""What the images are built from, without a Docker daemon: requirements, Dockerfiles, the scripts' refusals."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.images.support import PORTS
from tests.support.absent import absent
from tests.support.mesh import ROOT

FOLDERS = {service: ROOT / "services" / service / "python" for service in PORTS}
DOCKERFILES = sorted(path.relative_to(ROOT) for path in ROOT.glob("services/*/*/Dockerfile"))
REQUIREMENTS = sorted(path.relative_to(ROOT) for path in ROOT.glob("services/*/python/requirements*.txt"))


def check_requirements(root: Path) -> subprocess.CompletedProcess[str]:
    if not (shutil.which("uv") or shutil.which("uv", path=ROOT / ".cache/uv/bin")):
        absent("no uv: install it, or let make set up the environment")
    search = f"{os.environ['PATH']}{os.pathsep}{ROOT / '.cache/uv/bin'}"
    command = [sys.executable, str(root / "scripts/requirements"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "PATH": search})


def test_requirements_are_what_the_lock_says() -> None:
    done = check_requirements(ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_stale_requirements_are_named(tmp_path: Path) -> None:
    for file in (Path("scripts/requirements"), Path("pyproject.toml"), Path("uv.lock"), *REQUIREMENTS):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    stale = tmp_path / "services/backend/python/requirements.txt"
    stale.write_text(stale.read_text().replace("flask==", "flask==0."))
    done = check_requirements(tmp_path)
    assert done.returncode == 1
    assert done.stdout == "services/backend/python/requirements.txt: out of date, run scripts/requirements\n"


@pytest.mark.parametrize("file", REQUIREMENTS, ids=str)
def test_requirements_are_pinned_by_hash_and_name_no_index(file: Path) -> None:
    text = (ROOT / file).read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines
    assert [
        line for line in lines if not re.match(r"[\w.-]+==[\w.]+( ;[^#]*)?\s+--hash=sha256:[0-9a-f]{64}", line)
    ] == []
    assert "://" not in text


def general(file: Path) -> str:
    """A Dockerfile without what is its service's own."""
    service = file.parts[1]
    text = (ROOT / file).read_text()
    text = re.sub(r'description="[^"]*(;[^"]*)"', r'description="\1"', text)
    text = re.sub(r"(?m)^RUN go build net/http.*$", "RUN go build <packages of others>", text)
    return text.replace(service, "<service>").replace(str(PORTS[service]), "<port>")


@pytest.mark.parametrize("language", ["python", "go"])
def test_dockerfiles_differ_in_names_alone(language: str) -> None:
    # So that images share their layers, and a lesson learnt in one is not forgotten in the others.
    first, *others = [file for file in DOCKERFILES if file.parts[2] == language]
    assert others
    assert [file for file in others if general(file) != general(first)] == []


@pytest.mark.parametrize("file", DOCKERFILES, ids=str)
def test_dockerfiles_build_anywhere(file: Path) -> None:
    text = (ROOT / file).read_text()
    # What the classic builder does not know, or what asks for a frontend image.
    assert re.findall(r"(?m)^# *syntax|RUN --|<<|COPY --link|COPY --chmod", text) == []
    # Base images are arguments, their defaults pinned to the patch; distroless has no such tags.
    bases = dict(re.findall(r"(?m)^ARG (\w+_IMAGE)=(\S+)$", text))
    pinned = r"(python|node|golang):\d+\.\d+\.\d+-(slim-\w+|\w+-slim|\w+)|gcr\.io/distroless/static-debian12:nonroot"
    assert bases
    assert [base for base in bases.values() if not re.fullmatch(pinned, base)] == []
    stages = {"plain-${MODE}", "otel-${MODE}", *re.findall(r"(?m)^FROM \S+ AS (\S+)", text)}
    assert set(re.findall(r"(?m)^FROM (\S+)", text)) <= stages | {f"${{{name}}}" for name in bases}


def refused(script: str, *arguments: str, **environ: str) -> str:
    done = subprocess.run(
        [ROOT / script, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environ}
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--form", "hybrid"], "error: there is no form 'hybrid'\n  mend: --form plain, --form otel or --form all\n"),
        (["--tag="], "error: --tag names no tag\n  mend: --tag 0.1.0\n"),
        (["--push"], "error: there is no option --push\n  mend: scripts/build-images --help\n"),
        (["--lang=cobol"], "error: there is no language 'cobol'\n  mend: one of: python go node all\n"),
        (["poems"], f"error: there is no service poems\n  mend: one of: {' '.join(sorted(PORTS))}\n"),
        (["back*"], f"error: there is no service back*\n  mend: one of: {' '.join(sorted(PORTS))}\n"),
        (["--live", "--lang", "go"], "error: nothing to build: "),
    ],
)
def test_build_images_refuses(arguments: list[str], said: str) -> None:
    assert refused("scripts/build-images", *arguments).startswith(said)


def test_build_images_says_that_docker_is_absent(tmp_path: Path) -> None:
    for program in ("bash", "dirname", "grep"):
        found = shutil.which(program)
        assert found
        (tmp_path / program).symlink_to(found)
    said = refused("scripts/build-images", PATH=str(tmp_path))
    assert said.startswith("error: there is no docker on this machine\n  mend: install Docker")


def test_every_image_that_is_named_can_be_had_without_a_registry() -> None:
    script = ROOT / "tests/images/stand-ins/build"
    done = subprocess.run([sys.executable, script, "--list"], capture_output=True, text=True, timeout=60, check=True)
    listed = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert {name.partition(":")[0] for name in listed} >= {"postgres", "envoyproxy/envoy", "jaegertracing/jaeger"}
    assert not any(name.startswith("meshtrail/") for name in listed)
    without = [name for name, folder in listed.items() if not (ROOT / folder / "Dockerfile").is_file()]
    # Jaeger's comes as a tar.
    assert [name.partition(":")[0] for name in without] == ["jaegertracing/jaeger"]
