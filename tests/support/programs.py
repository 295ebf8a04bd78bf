"""Programs that judge ours, where there are any: kustomize, kubeconform, istioctl."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.support.absent import absent


def binary(name: str) -> str:
    """A program: from the variable of its name in capitals, or from the PATH; skips the test without it."""
    candidates = (os.environ.get(name.upper()), shutil.which(name))
    found = next((one for one in candidates if one and os.access(one, os.X_OK)), "")
    return found or absent(f"no {name}: set {name.upper()} or put it on the PATH")


def kustomize(folder: Path) -> str:
    """What `kustomize build` writes of a folder; skips the test without kustomize, fails it when CI=true."""
    program = binary("kustomize")
    # It lives for a tenth of a second, a third of which would go into collecting garbage.
    environment = {**os.environ, "GOGC": "off"}
    done = subprocess.run(
        [program, "build", str(folder)], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def kustomize_once(folder: Path) -> str:
    """The same of a folder of the repository, which no test changes."""
    return kustomize(folder)
