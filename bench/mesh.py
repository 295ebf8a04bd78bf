"""A local mesh for a benchmark, driven through the command line as a user would."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MESHTRAIL = [sys.executable, "-m", "meshtrail"]


@dataclass(frozen=True, slots=True)
class Mesh:
    name: str
    status: dict[str, Any]
    ready_seconds: float

    @property
    def gateway(self) -> str:
        return str(self.status["gateway"])

    def pids(self) -> dict[str, int]:
        """Process id by name, the supervisor's included."""
        return {"supervisor": self.status["pid"]} | {p["name"]: p["pid"] for p in self.status["processes"]}


@contextmanager
def mesh(name: str, *options: str, manifests: dict[str, str] | None = None, folder: Path) -> Iterator[Mesh]:
    """Start a mesh with `options` and manifests laid over it; `ready_seconds` is until `up --detach` answers."""
    files: list[str] = []
    for file, text in (manifests or {}).items():
        (folder / f"{name}-{file}").write_text(text)
        files += ["-f", str(folder / f"{name}-{file}")]
    name = f"bench-{name}-{os.getpid()}"
    begin = time.perf_counter()
    subprocess.run([*MESHTRAIL, "up", "--detach", "--ports", "auto", "--name", name, *files, *options],
                   check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    seconds = time.perf_counter() - begin
    try:
        status = subprocess.run([*MESHTRAIL, "status", "--json", "--name", name], check=True, capture_output=True)
        yield Mesh(name, json.loads(status.stdout), seconds)
    finally:
        subprocess.run([*MESHTRAIL, "down", "--name", name], check=True, stdout=subprocess.DEVNULL)


def latencies(url: str, count: int, *, host: str = "") -> list[float]:
    """Milliseconds of `count` requests, one after the other on one connection; any answer but 200 is an error.

    `host` is the Host to ask for, that of the URL when empty.
    """
    parts = urlsplit(url)
    headers = {"Host": host} if host else {}
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    out = []
    for _ in range(count):
        begin = time.perf_counter()
        connection.request("GET", parts.path or "/", headers=headers)
        response = connection.getresponse()
        response.read()
        out.append((time.perf_counter() - begin) * 1e3)
        if response.status != 200:
            raise SystemExit(f"{host or url} answered {response.status}")
    connection.close()
    return out


def get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def pss_mb(pid: int) -> float:
    """Proportional set size in MB (10^6 bytes), from the kernel's own accounting; Linux only."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"no Pss for process {pid}")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken so far, user and system; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(values: list[float]) -> tuple[float, float, float]:
    """Minimum, median and maximum."""
    return min(values), statistics.median(values), max(values)
