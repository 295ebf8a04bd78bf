"""What every test gets: a place of its own for the state of meshes, so that none of the user's is touched.

And what pytest-xdist gets: tests that share a fixture of their module, or the default mesh, stay on one worker, since
each worker would start the mesh or the service behind it anew.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.mesh import running_mesh

from meshtrail.errors import MeshtrailError
from meshtrail.local import toolchains
from meshtrail.local.state import RunningMesh

# Set at import, before any fixture: meshes that modules start inherit it. One folder for each xdist worker.
STATE = tempfile.mkdtemp(prefix="meshtrail-tests-")
os.environ["MESHTRAIL_STATE"] = STATE


@pytest.fixture(scope="session")
def default_mesh() -> Iterator[RunningMesh]:
    """three-tier as it comes, for tests that leave it as they found it."""
    with running_mesh() as running:
        yield running


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and not item.get_closest_marker("xdist_group"):
            if "default_mesh" in item.fixturenames:
                item.add_marker(pytest.mark.xdist_group("default-mesh"))
            elif shared := _shared_fixtures(item):
                item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}-{'-'.join(shared)}"))


def _shared_fixtures(item: pytest.Function) -> list[str]:
    """The module's fixtures that a test uses, each with the number of its parameter if it has several."""
    definitions = item._fixtureinfo.name2fixturedefs
    names = [name for name, found in definitions.items() if found[-1].scope == "module"]
    callspec = getattr(item, "callspec", None)
    return sorted(f"{name}{callspec.indices.get(name, '')}" if callspec else name for name in names)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is in Go and Node before a test's clock runs: the first time that takes minutes."""
    # What collecting made stays to the end: the collector of garbage need not look through it again and again.
    gc.freeze()
    if session.config.option.collectonly or not any(
        re.search(r"\b(go|node|polyglot)\b", one.nodeid) for one in session.items
    ):
        return
    root = Path(__file__).parents[1]
    for one in toolchains.implementations(root):
        with suppress(MeshtrailError):  # the tests that need it say what is missing
            toolchains.command(root, one.service, one.language, one.form)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("MESHTRAIL_KEEP_STATE") != "1":
        shutil.rmtree(STATE, ignore_errors=True)
