"""What is built when, with programs in place of Go and Node that note how often they are asked."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from meshtrail.errors import MeshtrailError
from meshtrail.local.toolchains import Implementation, command, environment, implementations

ROOT = Path(__file__).parents[2]
GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit; fi
echo "$CGO_ENABLED $*" >> {calls}
if [ -e {broken} ]; then echo "# meshtrail/hello"; echo "main.go:3: undefined: x" >&2; exit 1; fi
sleep 0.1
while [ "$1" != -o ]; do shift; done
echo program > "$2"
"""
NODE = """#!/bin/sh
echo v{version}
"""
NPM = """#!/bin/sh
echo "$*" >> {calls}
rm -rf node_modules && mkdir node_modules
"""


class Repository:
    """A repository with `hello` in Go and Node, and a PATH that holds only the programs a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repository"
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.calls = folder / "calls"
        self.broken = folder / "broken"
        self.write("services/go.mod", "module meshtrail\n\ngo 1.24.0\n")
        self.write("services/hello/go/plain/main.go", "package main\n")
        self.write("services/hello/node/plain.js", "")
        self.write("services/hello/node/package.json", json.dumps({"engines": {"node": ">=20.6"}}))
        self.write("services/hello/node/package-lock.json", "{}")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def install(self, name: str, script: str, version: str = "") -> None:
        program = self.programs / name
        program.write_text(script.format(version=version, calls=self.calls, broken=self.broken))
        program.chmod(0o755)

    def made(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return made


def alone(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the machine's own programs off the PATH."""
    monkeypatch.setenv("PATH", str(repository.programs))


def test_the_repository_has_its_twins() -> None:
    there = implementations(ROOT)
    assert {one.language for one in there if one.service == "frontend"} == {"python", "node"}
    assert {one.language for one in there if one.service == "database"} == {"python", "go"}
    assert Implementation("frontend", "node", "otel").image == "meshtrail/frontend-node-otel"
    assert {one.form for one in there} == {"plain", "otel"}
    assert there == sorted(there, key=lambda one: (one.service, one.language, one.form == "otel"))


def test_python_needs_nothing_made() -> None:
    assert command(ROOT, "backend", "python", "otel") == [sys.executable, "-P", "-u", "-m", "backend.otel"]
    assert environment(ROOT, "backend", "python")["PYTHONPATH"].endswith("services/backend/python")
    assert environment(ROOT, "frontend", "node") == {}


@pytest.mark.parametrize(
    ("service", "language", "form"),
    [("nobody", "python", "plain"), ("hello", "ruby", "plain"), ("hello", "go", "otel")],
)
def test_what_is_not_there_is_named(repository: Repository, service: str, language: str, form: str) -> None:
    with pytest.raises(MeshtrailError, match=f"no {service} in {language}, form {form}") as raised:
        command(repository.root, service, language, form)
    assert raised.value.mend == ("take one of: " + ("none is there" if form == "otel" else "hello-go, hello-node"))


def test_go_is_built_when_a_source_changed(repository: Repository) -> None:
    repository.install("go", GO, "1.26.8")
    program = repository.root / ".cache/go/hello"
    assert command(repository.root, "hello", "go", "plain") == [str(program)]
    assert program.read_text() == "program\n"
    assert repository.made() == [f"0 build -trimpath -o {program} ./hello/go/plain"]

    command(repository.root, "hello", "go", "plain")
    repository.write("services/hello/go/plain/main_test.go", "package main\n")
    command(repository.root, "hello", "go", "plain")
    assert len(repository.made()) == 1

    for path in ("hello/go/app.go", "common/go/web/web.go", "common/headers.json", "go.sum"):
        count = len(repository.made())
        repository.write(f"services/{path}", "changed")
        command(repository.root, "hello", "go", "plain")
        assert len(repository.made()) == count + 1, path

    (repository.root / "services/hello/go/app.go").unlink()
    command(repository.root, "hello", "go", "plain")
    repository.install("go", GO, "1.27.0")
    command(repository.root, "hello", "go", "plain")
    program.unlink()
    command(repository.root, "hello", "go", "plain")
    assert len(repository.made()) == 8


def test_several_at_the_same_time_build_once(repository: Repository) -> None:
    repository.install("go", GO, "1.26.8")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: command(repository.root, "hello", "go", "plain"), range(4)))
    assert len(repository.made()) == 1


def test_a_build_that_fails_is_shown_and_tried_again(repository: Repository) -> None:
    repository.install("go", GO, "1.26.8")
    repository.broken.touch()
    for _ in range(2):
        with pytest.raises(MeshtrailError) as raised:
            command(repository.root, "hello", "go", "plain")
        assert "making hello in Go failed" in raised.value.message
        assert "main.go:3: undefined: x" in raised.value.message
        assert "go build" in raised.value.mend
    repository.broken.unlink()
    assert Path(command(repository.root, "hello", "go", "plain")[0]).is_file()


def test_node_installs_when_the_lock_file_changed(repository: Repository) -> None:
    repository.install("node", NODE, "24.11.1")
    repository.install("npm", NPM)
    entry = repository.root / "services/hello/node/plain.js"
    for _ in range(2):
        assert command(repository.root, "hello", "node", "plain") == [str(repository.programs / "node"), str(entry)]
    assert len(repository.made()) == 1
    assert repository.made()[0].startswith("ci --omit=dev --ignore-scripts")
    repository.write("services/hello/node/plain.js", "// changed")
    command(repository.root, "hello", "node", "plain")
    assert len(repository.made()) == 1
    repository.write("services/hello/node/package-lock.json", "{ }")
    command(repository.root, "hello", "node", "plain")
    assert len(repository.made()) == 2


@pytest.mark.parametrize(
    ("language", "missing", "what"),
    [("go", "go", "Go >= 1.24 "), ("node", "node", "Node.js >= 20.6 "), ("node", "npm", "Node.js >= 20.6 ")],
)
def test_a_missing_toolchain_says_what_to_install(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, language: str, missing: str, what: str
) -> None:
    if missing == "npm":
        repository.install("node", NODE, "20.6.0")
    alone(repository, monkeypatch)
    with pytest.raises(MeshtrailError) as raised:
        command(repository.root, "hello", language, "plain")
    assert raised.value.message.startswith(f"{missing} is not on the PATH; hello in ")
    assert raised.value.mend.startswith(f"install {what}")
    assert raised.value.mend.endswith("--lang hello=python")


@pytest.mark.parametrize(("language", "script", "version"), [("go", GO, "1.9.7"), ("node", NODE, "18.20.8")])
def test_an_old_toolchain_says_what_is_needed(repository: Repository, language: str, script: str, version: str) -> None:
    repository.install(language, script, version)
    with pytest.raises(MeshtrailError, match=r"hello in (Go|Node) needs (1\.24|20\.6) at least") as raised:
        command(repository.root, "hello", language, "plain")
    assert ".".join(version.split(".")[:2]) in raised.value.message
    assert repository.made() == []


def test_a_program_that_does_not_answer_is_named(repository: Repository) -> None:
    repository.install("go", "#!/bin/sh\necho 'no such toolchain' >&2; exit 1\n")
    with pytest.raises(MeshtrailError, match="does not say its version but: no such toolchain"):
        command(repository.root, "hello", "go", "plain")


def test_a_build_is_announced_and_nothing_else(repository: Repository) -> None:
    repository.install("go", GO, "1.26.8")
    said: list[str] = []
    for _ in range(2):
        command(repository.root, "hello", "go", "plain", announce=said.append)
    assert said == ["building hello in Go, the first time in a minute or two ..."]
