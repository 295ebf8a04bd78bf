"""Running the commands of a page."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshtrail.exercises.pages import Block

WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Ran:
    """One block, carried out: `output` is what it wrote, both streams as they came."""

    block: Block
    status: int
    output: str

    @property
    def ok(self) -> bool:
        return self.status == self.block.exit


def run(block: Block, *, root: Path, environment: Mapping[str, str]) -> Ran:
    """In bash at the repository's root, with this very meshtrail first on the PATH; a first failure ends it."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.commands],
            cwd=root,
            env={**os.environ, **environment, "PATH": programs},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        return Ran(block, -1, f"{output.decode(errors='replace')}not done after {WITHIN_S:g} s")
    return Ran(block, done.returncode, done.stdout)
