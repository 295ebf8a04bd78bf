"""The real kustomize, where there is one: the judge of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tests.support.absent import absent


@cache
def binary() -> str:
    """From the variable KUSTOMIZE or the PATH; "" if there is none."""
    candidates = [os.environ.get("KUSTOMIZE"), shutil.which("kustomize")]
    return next((one for one in candidates if one and os.access(one, os.X_OK)), "")


def by_name(objects: list[Any]) -> list[Any]:
    """In an order that does not depend on who built them."""
    return sorted(objects, key=lambda one: (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]))


def real_build(folder: Path) -> list[Any]:
    """What `kustomize build` makes of a folder; skips the test without kustomize, fails it when CI=true."""
    if not binary():
        absent("no kustomize: set KUSTOMIZE or put it on the PATH")
    done = subprocess.run([binary(), "build", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return by_name([one for one in yaml.safe_load_all(done.stdout) if one])
