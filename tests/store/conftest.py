"""A real trace store as a process, on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

_ANY_PORTS = [word for name in ("otlp-grpc", "otlp-http", "zipkin", "query") for word in (f"--{name}-port", "0")]


@dataclass(frozen=True, slots=True)
class RunningStore:
    """Addresses of a store that is ready; `process` is it."""

    process: subprocess.Popen[str]
    otlp_grpc: str
    otlp_http: str
    zipkin: str
    query: str

    def rss_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


# Making a client loads the certificates of the world, which takes longer than most of these tests.
http = httpx.Client(trust_env=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))

StartStore = Callable[..., RunningStore]


@contextmanager
def running_store(*options: str) -> Iterator[RunningStore]:
    process = subprocess.Popen(
        [sys.executable, "-m", "meshtrail.store", *_ANY_PORTS, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if not line:
            pytest.fail(f"the store did not start: {process.communicate()[1]}")
        ready: dict[str, Any] = json.loads(line)
        assert ready.pop("event") == "ready"
        yield RunningStore(process, **ready)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def start_store() -> Iterator[StartStore]:
    """Start a store with further options; all that were started end with the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running_store(*options))


@pytest.fixture(scope="module")
def store() -> Iterator[RunningStore]:
    """One store for the tests of a module, which must not depend on what others put into it."""
    with running_store() as running:
        yield running
