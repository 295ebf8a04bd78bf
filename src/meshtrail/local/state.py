"""Where a running mesh leaves its addresses, and how the commands find it.

`${MESHTRAIL_STATE:-${XDG_STATE_HOME:-~/.local/state}/meshtrail}/<name>/` holds `state.json` while the mesh runs, and
`logs/`, which stay. The lock in it is held by the running mesh: the kernel lets go of it however meshtrail ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from meshtrail.errors import MeshtrailError

DEFAULT_NAME = "default"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
RUN_FOLDER_PREFIX = "mt-"


class NoMeshError(MeshtrailError):
    """No mesh of that name runs."""

    exit_status = 1


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process. `kind` service, sidecar, gateway or store; `state` starting, ready, backing-off or stopped.

    `address` is where it listens (host:port), `log` the file with its output, `started` identifies the process
    together with `pid` (a pid alone is used again by others).
    """

    name: str
    kind: str
    pid: int | None
    address: str
    state: str
    restarts: int
    log: str
    started: str = ""


@dataclass(frozen=True, slots=True)
class RunningMesh:
    """Addresses of a running mesh: URLs without a slash at the end, `otlp_grpc` as host:port, `control` a unix socket.

    `problems` are the findings of the last edit that was refused; empty when what is on disk is what runs.
    """

    name: str
    application: str
    pid: int
    gateway: str
    jaeger: str
    otlp_http: str
    zipkin: str
    otlp_grpc: str
    control: str
    run_folder: str
    logs: str
    ready: bool = False
    started: str = ""
    processes: tuple[ProcessInfo, ...] = ()
    problems: tuple[str, ...] = ()
    reloads: int = 0
    warnings: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises TypeError or KeyError for data that another version wrote."""
        processes = tuple(ProcessInfo(**process) for process in data["processes"])
        texts = {key: tuple(data[key]) for key in ("problems", "warnings")}
        return cls(**{**data, "processes": processes, **texts})


def state_root() -> Path:
    own = os.environ.get("MESHTRAIL_STATE")
    if own:
        return Path(own).absolute()
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base).absolute() / "meshtrail"


class StateFolder:
    """The folder of one mesh. Create it with `open_folder`, which checks the name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._lock: int | None = None

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def file(self) -> Path:
        return self.path / "state.json"

    def acquire(self) -> None:
        """Become the mesh of this name; clears what a crashed one left. Raises MeshtrailError when one runs."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise MeshtrailError(
                f"cannot write the state folder {self.path}: {error.strerror}",
                mend="set MESHTRAIL_STATE to a folder of yours",
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise MeshtrailError(
                f"a mesh named '{self.name}' is already running",
                mend=f"stop it with `meshtrail down{_name_option(self.name)}`, "
                "or start this one beside it: `--name OTHER --ports auto`",
            ) from None
        self._lock = lock
        self._clear_stale()

    def write(self, mesh: RunningMesh) -> None:
        temporary = self.file.with_name("state.json.new")
        temporary.write_text(json.dumps(mesh.as_json(), indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.file)

    def read(self) -> RunningMesh | None:
        """What `write` left, or None: no mesh was started, it ended in order, or another version wrote it."""
        try:
            return RunningMesh.from_json(json.loads(self.file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def release(self) -> None:
        """The mesh has ended in order."""
        with contextlib.suppress(OSError):
            self.file.unlink()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _clear_stale(self) -> None:
        stale = self.read()
        if stale is None:
            return
        for process in stale.processes:
            if process.pid and process.started and started_at(process.pid) == process.started:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
        if Path(stale.run_folder).name.startswith(RUN_FOLDER_PREFIX):
            shutil.rmtree(stale.run_folder, ignore_errors=True)
        self.file.unlink(missing_ok=True)


def open_folder(name: str) -> StateFolder:
    if not NAME.fullmatch(name):
        raise MeshtrailError(
            f"'{name}' cannot be the name of a mesh",
            mend="take lower-case letters, digits and hyphens, at most 40, a letter or digit at both ends",
        )
    return StateFolder(state_root() / name)


def load(name: str = DEFAULT_NAME) -> RunningMesh:
    """The running mesh of that name. Raises NoMeshError when none runs."""
    mesh = open_folder(name).read()
    if mesh is None or started_at(mesh.pid) != mesh.started:
        others = [other.name for other in running() if other.name != name]
        mend = f"start one: `meshtrail up -d{_name_option(name)}`"
        if others:
            mend += f"; running under another name: {', '.join(others)} (`--name {others[0]}`)"
        raise NoMeshError(f"no mesh named '{name}' is running", mend=mend)
    return mesh


def running() -> list[RunningMesh]:
    """All meshes of this user that run, by name."""
    try:
        folders = sorted(path for path in state_root().iterdir() if NAME.fullmatch(path.name))
    except OSError:
        return []
    meshes = [StateFolder(path).read() for path in folders]
    return [mesh for mesh in meshes if mesh is not None and started_at(mesh.pid) == mesh.started]


def started_at(pid: int) -> str:
    """When a process started, as text that only serves to compare; empty when there is none of that pid."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
        answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return answer.stdout.strip()
    # The name of the program, in brackets, may hold anything; field 22 counts from behind it.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _name_option(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --name {name}"
