"""What the schemas cannot see: the API server, and the webhooks of Istio, take every overlay and Jaeger as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from tests.cluster.support import build, namespace, relocate, run
from tests.support.mesh import ROOT

pytestmark = pytest.mark.cluster

OVERLAYS = sorted(path.name for path in (ROOT / "k8s/overlays").iterdir())
# In istio-system; where that of production is to be is for the user to say.
WHOLE = ("k8s/jaeger/all-in-one", "k8s/jaeger/production", "k8s/jaeger/opensearch", "k8s/collector", "istio/mesh")


@pytest.fixture(scope="module")
def empty() -> Iterator[str]:
    with namespace("mt-dry-run", istio_injection="enabled") as name:
        yield name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_takes_every_overlay(overlay: str, empty: str) -> None:
    objects = build(f"k8s/overlays/{overlay}")
    moved = [one for one in relocate(objects, empty) if one["kind"] != "Namespace"]
    mesh_wide = [one for one in objects if one["metadata"].get("namespace") == "istio-system"]
    _dry_run(yaml.safe_dump_all([*moved, *mesh_wide]), len(moved) + len(mesh_wide))


@pytest.mark.parametrize("folder", WHOLE)
def test_the_api_server_takes_what_belongs_to_the_whole_mesh(folder: str) -> None:
    objects = build(folder)
    namespaces = {one["metadata"].get("namespace") for one in objects}
    assert namespaces <= {None, "istio-system"}, namespaces
    _dry_run(yaml.safe_dump_all(objects), len(objects))


def _dry_run(text: str, count: int) -> None:
    done = run("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=text)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == count
