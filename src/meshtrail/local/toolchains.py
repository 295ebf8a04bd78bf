"""From a service in some language to a command that starts it: built and installed here when a source has changed.

    command(root, "database", "go", "otel") -> ["/.../.cache/go/database-otel"]

Python needs nothing made. A Go program is built into `.cache/go/`, the packages of a Node service are installed beside
it by `npm ci`. What was made is kept until a source changes; a lock keeps two meshes from making the same at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from meshtrail.errors import MeshtrailError

LANGUAGES = ("python", "node", "go")
FORMS = ("plain", "otel")
# Seconds that a build may take: the first one compiles a database engine, the first install downloads.
BUILD_SECONDS = 600
LINES_SHOWN = 8


@dataclass(frozen=True, slots=True, order=True)
class Implementation:
    """A form of a service in a language, as the repository holds it."""

    service: str
    language: str
    form: str

    @property
    def image(self) -> str:
        """The image without its tag: `meshtrail/frontend-node-otel`."""
        return f"meshtrail/{self.service}-{self.language}{'-otel' if self.form == 'otel' else ''}"


def implementations(root: Path) -> list[Implementation]:
    """What the repository at `root` can run, in the order of service, language and form."""
    found = []
    for folder in sorted((root / "services").glob("*/*")):
        service, language = folder.parent.name, folder.name
        if service != "common" and language in LANGUAGES:
            found += [
                Implementation(service, language, form) for form in FORMS if _is_there(root, service, language, form)
            ]
    return found


def command(
    root: Path, service: str, language: str, form: str, *, announce: Callable[[str], None] = lambda _: None
) -> list[str]:
    """The argv that starts a service; what is stale is built first, which takes a while the first time.

    `announce` gets a sentence before each build.
    Raises MeshtrailError when the repository has no such program, when the toolchain is missing or too old, and when
    the build fails.
    """
    if language not in LANGUAGES or not _is_there(root, service, language, form):
        there = ", ".join(f"{one.service}-{one.language}" for one in implementations(root) if one.form == form)
        raise MeshtrailError(
            f"no {service} in {language}, form {form}, below {root / 'services'}",
            mend=f"take one of: {there or 'none is there'}",
        )
    if language == "go":
        return [str(_build_go(root, service, form, announce))]
    if language == "node":
        return [_install_node(root, service, announce), str(_entry(root, service, language, form))]
    return [sys.executable, "-P", "-u", "-m", f"{_package(service)}.{form}"]


def environment(root: Path, service: str, language: str) -> dict[str, str]:
    """The variables that a service needs to find its own code: PYTHONPATH for Python, nothing for the others."""
    if language != "python":
        return {}
    folders = (root / "services" / "common" / "python", root / "services" / service / "python")
    return {"PYTHONPATH": os.pathsep.join(map(str, folders))}


def _package(service: str) -> str:
    return service.replace("-", "_")


def _entry(root: Path, service: str, language: str, form: str) -> Path:
    folder = root / "services" / service / language
    if language == "python":
        return folder / _package(service) / f"{form}.py"
    return folder / form if language == "go" else folder / f"{form}.js"


def _is_there(root: Path, service: str, language: str, form: str) -> bool:
    entry = _entry(root, service, language, form)
    return any(entry.glob("*.go")) if language == "go" else entry.is_file()


def _build_go(root: Path, service: str, form: str, announce: Callable[[str], None]) -> Path:
    """Build one program of the module services/go.mod; without cgo, as in the image."""
    services = (root / "services").resolve()
    go, version = _tool("go", "version", r"go(\d+\.\d+)", _go_minimum(services), f"{service} in Go")
    name = service if form == "plain" else f"{service}-{form}"
    program = services.parent / ".cache" / "go" / name
    sources = [services / "go.mod", services / "go.sum", *(services / "common").glob("*.*")]
    sources += [*_files(services / "common" / "go"), *_files(services / service / "go")]
    with _lock(program.parent / f"{name}.lock"):
        state = _fingerprint(sources, version)
        stamp = program.parent / f"{name}.stamp"
        if not (program.is_file() and _read(stamp) == state):
            announce(f"building {service} in Go, the first time in a minute or two ...")
            arguments = ["build", "-trimpath", "-o", str(program), f"./{service}/go/{form}"]
            _run([go, *arguments], services, {"CGO_ENABLED": "0"}, f"{service} in Go")
            stamp.write_text(state)
    return program


def _install_node(root: Path, service: str, announce: Callable[[str], None]) -> str:
    """Install what package-lock.json says, for both forms; return the program `node`."""
    folder = (root / "services" / service / "node").resolve()
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    minimum = str(package.get("engines", {}).get("node", ">=20")).removeprefix(">=")
    node, version = _tool("node", "--version", r"v(\d+\.\d+)", minimum, f"{service} in Node")
    modules = folder / "node_modules"
    with _lock(folder.parents[2] / ".cache" / "node" / f"{service}.lock"):
        state = _fingerprint([folder / "package.json", folder / "package-lock.json"], version)
        stamp = modules / ".meshtrail"
        if _read(stamp) != state:
            npm = shutil.which("npm")
            if npm is None:
                raise MeshtrailError(
                    f"npm is not on the PATH; {service} in Node needs it", mend=_mend("npm", minimum, service)
                )
            announce(f"installing the packages of {service} in Node ...")
            arguments = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            _run([npm, *arguments], folder, {}, f"the packages of {service} in Node")
            stamp.write_text(state)
    return node


def _tool(name: str, version_argument: str, pattern: str, minimum: str, user: str) -> tuple[str, str]:
    """The path and version of a program that has to be there, at least in `minimum`."""
    service = user.split()[0]
    path = shutil.which(name)
    if path is None:
        raise MeshtrailError(f"{name} is not on the PATH; {user} needs it", mend=_mend(name, minimum, service))
    said = _says(path, version_argument, Path(path).stat().st_mtime_ns)
    found = re.search(pattern, said)
    if found is None:
        last = said.strip().splitlines()[-1:] or ["nothing"]
        raise MeshtrailError(f"`{path} {version_argument}` does not say its version but: {last[0]}")
    if _numbers(found[1]) < _numbers(minimum):
        raise MeshtrailError(
            f"{path} is {found[1]}; {user} needs {minimum} at least", mend=_mend(name, minimum, service)
        )
    return path, found[1]


@lru_cache
def _says(path: str, argument: str, changed: int) -> str:
    """What a program says of its version, asked once for as long as its file does not change."""
    done = subprocess.run([path, argument], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else done.stderr or done.stdout


def _mend(name: str, minimum: str, service: str) -> str:
    what = f"Go >= {minimum} (https://go.dev/dl)" if name == "go" else f"Node.js >= {minimum} (https://nodejs.org)"
    return f"install {what}, or take Python: --lang {service}=python"


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor.partition(".")[0] or 0)


def _go_minimum(services: Path) -> str:
    found = re.search(r"^go (\d+\.\d+)", (services / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "1.24"


def _run(arguments: list[str], folder: Path, variables: dict[str, str], what: str) -> None:
    try:
        done = subprocess.run(
            arguments,
            cwd=folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MeshtrailError(f"making {what} took longer than {BUILD_SECONDS} s", mend=_by_hand(arguments)) from None
    if done.returncode != 0:
        last = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-LINES_SHOWN:])
        raise MeshtrailError(f"making {what} failed, its last lines:\n{last}", mend=_by_hand(arguments))


def _by_hand(arguments: list[str]) -> str:
    return f"run it by hand in services/: {Path(arguments[0]).name} {' '.join(arguments[1:])}"


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder that a build reads; tests are not among them."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith("_test.go"))


def _fingerprint(sources: Iterable[Path], version: str) -> str:
    """A text that changes with the toolchain and with the name, size or time of any source."""
    digest = hashlib.sha256(version.encode())
    for path in sources:
        if path.is_file():
            status = path.stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that other processes see, and that goes with this one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
