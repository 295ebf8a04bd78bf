"""A service of one language and form as a bare process, without a sidecar, for a benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.mesh import MESHTRAIL, cpu_seconds, pss_mb
from meshtrail.local import toolchains

ROOT = Path(__file__).parents[1]
READY_WITHIN_S = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """A running service; `start_seconds` is from its start to the first 200 of /readyz."""

    pid: int
    port: int
    start_seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def memory_mb(self) -> float:
        """All processes of the service; a server may fork workers."""
        return sum(pss_mb(pid) for pid in family(self.pid))

    @property
    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(pid) for pid in family(self.pid))


@contextmanager
def service(name: str, language: str, form: str, environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Start a service of this repository on a free port; what has to be built is built before the clock runs."""
    argv = toolchains.command(ROOT, name, language, form)
    own = toolchains.environment(ROOT, name, language) | {"PORT": "0", "OTEL_TRACES_EXPORTER": "none"}
    with process(argv, {**own, **(environment or {})}, ready="/readyz") as running:
        yield running


@contextmanager
def process(argv: list[str], environment: Mapping[str, str], *, ready: str, port: int = 0) -> Iterator[Service]:
    """Start a program that listens on `port`, or logs the one it took as our services do; `ready` answers 200 then."""
    passed = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with tempfile.NamedTemporaryFile("r") as log:
        begin = time.perf_counter()
        with open(log.name, "w") as output:
            child = subprocess.Popen(argv, env={**passed, **environment}, stdout=output, stderr=subprocess.STDOUT)
        try:
            port = port or _until(child, lambda: _listening(Path(log.name).read_text()))
            _until(child, lambda: _answers(f"http://127.0.0.1:{port}{ready}"))
            yield Service(child.pid, port, time.perf_counter() - begin)
        finally:
            child.terminate()
            child.wait(30)


def _until(child: subprocess.Popen[bytes], look: Callable[[], T]) -> T:
    deadline = time.monotonic() + READY_WITHIN_S
    while child.poll() is None and time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.005)
    raise SystemExit(f"{child.args!r} is not ready after {READY_WITHIN_S:g} s, or ended")


def _listening(log: str) -> int:
    """The port in the line `{"message": "listening...", "port": N}`; 0 while there is none."""
    for line in log.splitlines(keepends=True):
        if line.endswith("\n") and (entry := json.loads(line))["message"].startswith("listening"):
            return int(entry["port"])
    return 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def family(pid: int) -> list[int]:
    """A process and those that it started; Linux only."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def load(url: str, count: int, concurrency: int, *headers: str) -> dict[str, Any]:
    """Requests as fast as answers come; the summary of `meshtrail load --json`. Any error ends the benchmark."""
    options = [part for header in headers for part in ("--header", header)]
    done = subprocess.run(
        [*MESHTRAIL, "load", "--url", url, "--rate", "max", "--concurrency", str(concurrency), "--count", str(count),
         "--json", *options],
        check=True, capture_output=True,
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    return report
