"""What every test gets: a place of its own for the state of meshes, so that none of the user's is touched."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

# Set at import, before any fixture: meshes that modules start inherit it. One folder for each xdist worker.
STATE = tempfile.mkdtemp(prefix="meshtrail-tests-")
os.environ["MESHTRAIL_STATE"] = STATE


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("MESHTRAIL_KEEP_STATE") != "1":
        shutil.rmtree(STATE, ignore_errors=True)
