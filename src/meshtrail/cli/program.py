"""How the user calls this program, for the commands that it suggests."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def program() -> str:
    """`meshtrail` when that is on the PATH, else the path that works from here, as in `.venv/bin/meshtrail`."""
    script = Path(sys.argv[0])
    on_path = shutil.which("meshtrail")
    if script.name != "meshtrail":
        script = Path(sys.executable).with_name("meshtrail")
    if on_path and os.path.realpath(on_path) == os.path.realpath(script):
        return "meshtrail"
    relative = os.path.relpath(script)
    return relative if not relative.startswith("..") else str(script)
