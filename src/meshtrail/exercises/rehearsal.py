"""The dry run of a workshop: what the room needs, then each exercise from start to reset, with times."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meshtrail.errors import MeshtrailError
from meshtrail.exercises import progress
from meshtrail.exercises.catalog import Exercise
from meshtrail.exercises.phrases import Phrases
from meshtrail.exercises.place import Place
from meshtrail.exercises.walk import Walk, Walked
from meshtrail.local import state
from meshtrail.local.fleet import envoy_path
from meshtrail.local.options import WELL_KNOWN
from meshtrail.local.ports import BusyPortsError, FixedPort, Ports

Level = Literal["ok", "warn", "fail"]

MEMORY_MB = 1024
"""Bookinfo with its seven Envoys needs about 500 MB; the rest is for the browser and the editor."""
DISK_MB = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at, or one exercise; `seconds` None where no time counts."""

    level: Level
    what: str
    text: str
    mend: str = ""
    seconds: float | None = None


def machine(name: str, *, auto_ports: bool) -> Iterator[Line]:
    """What a laptop needs for the local mesh."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Line("ok", "python", version)
    bash = shutil.which("bash")
    yield Line("ok", "bash", bash) if bash else Line("fail", "bash", "not on the PATH", "the pages' commands need it")
    try:
        yield Line("ok", "envoy", str(envoy_path()))
    except MeshtrailError as error:
        yield Line("fail", "envoy", error.message, error.mend)
    yield _memory()
    yield _disk()
    yield _ports(name, auto_ports=auto_ports)


def _memory() -> Line:
    found = available_mb()
    if found is None:
        return Line("warn", "memory", "this system does not say how much is free", f"have {MEMORY_MB} MB free")
    if found < MEMORY_MB:
        return Line("fail", "memory", f"{found} MB free, {MEMORY_MB} MB are needed", "end other programs")
    return Line("ok", "memory", f"{found} MB free")


def available_mb() -> int | None:
    """Memory that can be had, in MB; None where /proc/meminfo is not."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _disk() -> Line:
    folder = state.state_root()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free // 1024**2
    if not os.access(there, os.W_OK):
        return Line("fail", "state", f"cannot write {there}", "set MESHTRAIL_STATE to a folder of yours")
    if free < DISK_MB:
        return Line("fail", "disk", f"{free} MB free at {there}, {DISK_MB} MB are needed", "make room")
    return Line("ok", "disk", f"{free} MB free at {there}")


def _ports(name: str, *, auto_ports: bool) -> Line:
    try:
        running = state.load(name)
    except MeshtrailError:
        pass
    else:
        return Line("ok", "ports", f"the mesh '{name}' runs, its gateway is {running.gateway}")
    if auto_ports:
        return Line("ok", "ports", "chosen when the mesh starts")
    ports = Ports()
    try:
        ports.claim({key: FixedPort(*value) for key, value in WELL_KNOWN.items()})
    except BusyPortsError as error:
        return Line("fail", "ports", error.message, "end what uses them, or export MESHTRAIL_PORTS=auto")
    finally:
        ports.close()
    return Line("ok", "ports", ", ".join(str(port) for _, _, port in WELL_KNOWN.values()) + " are free")


def exercises(
    known: Sequence[Exercise], place: Place, *, root: Path, phrases: Phrases, announce: Callable[[str], None]
) -> Iterator[Line]:
    """Each case of each exercise for the place's target, solved by its page's commands. What the participant had solved
    before is remembered as it was."""
    before = progress.read(place.key)
    if before.current is not None:
        yield Line("fail", "progress", f"exercise {before.current.exercise} is started", "meshtrail exercise reset")
        return
    try:
        for exercise in known:
            for case in exercise.settings.cases:
                if place.target not in case.targets:
                    continue
                what = f"{exercise.id} {case.name}".strip()
                announce(what)
                yield _walked(what, Walk(exercise, case.name, place, root, phrases, announce))
    finally:
        left = progress.read(place.key)
        if left.current is None:
            progress.write(place.key, before)


def _walked(what: str, walk: Walk) -> Line:
    started = time.monotonic()
    try:
        walked = walk.go(wrong_turns=False)
    except MeshtrailError as error:
        return Line("fail", what, error.message, error.mend, time.monotonic() - started)
    seconds = sum(walked.seconds.values())
    if walked.problems:
        return Line("fail", what, "; ".join(walked.problems), "see its page", seconds)
    return Line("ok", what, times(walked), "", seconds)


def times(walked: Walked) -> str:
    return ", ".join(f"{part} {seconds:.1f} s" for part, seconds in walked.seconds.items())
