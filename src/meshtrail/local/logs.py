"""Log files: one a process, kept after the mesh has ended, rotated at start, bounded in size.

A process writes straight into its file (opened for appending), so that its lines cost meshtrail nothing and survive
it. What grows over the limit is copied to `<name>.log.1` and cut: appending goes on at the new end.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024


def rotate(path: Path) -> None:
    """At the start of a mesh: what the last run left becomes `.1`."""
    if path.exists() and path.stat().st_size:
        path.replace(previous(path))


def previous(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def bound(path: Path, limit: int = MAX_BYTES) -> bool:
    """Cut a log that has grown over `limit` bytes; True when it was cut."""
    try:
        if path.stat().st_size <= limit:
            return False
        shutil.copyfile(path, previous(path))
        os.truncate(path, 0)
    except OSError:
        return False
    return True


def last_lines(path: Path, count: int = 8, *, since: int = 0) -> str:
    """The last `count` lines, at most 8 KB, written after byte `since`; empty when there is nothing."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 8192, since if since <= size else 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in lines[-count:] if line.strip())
