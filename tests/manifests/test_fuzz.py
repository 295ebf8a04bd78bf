"""Whatever is in a file: typed objects or a ManifestError, never a traceback."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.documents import documents

from meshtrail.errors import ManifestError, Problem
from meshtrail.manifests import load, read_mesh_config
from meshtrail.manifests.objects import KINDS
from meshtrail.manifests.reader import MESSAGES

ROOT = Path(__file__).parents[2]
NAMES = sorted({name for message in MESSAGES.values() for name in message.known})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["1s", "HTTP", "*", "a", "jaeger", "$patch", "delete", "[", "(?=", "/a", "8080", "v1"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(
        st.lists(below, max_size=3), st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), below, max_size=4)
    ),
    max_leaves=12,
)
# Real documents, so that mistakes are made deep inside as well as on top.
SAMPLES = [
    document
    for path in sorted([*(ROOT / "k8s").rglob("*.yaml"), *(ROOT / "istio").rglob("*.yaml")])
    for document in documents(path)
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for step, below in steps for found in places(below, (*path, step)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def refused(action: Callable[[], object]) -> list[Problem]:
    """What a ManifestError said, [] when there was none; any other error fails the test."""
    try:
        action()
    except ManifestError as error:
        return error.problems
    return []


def try_load(text: str, name: str = "manifest.yaml") -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        problems = refused(lambda: load([path]))
        assert all(problem.file and problem.message for problem in problems)


@settings(max_examples=80, deadline=None, database=None)
@given(
    kind=st.sampled_from(sorted(KINDS)), spec=VALUES, more=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
)
def test_any_values_under_any_kind(kind: str, spec: Any, more: Any) -> None:
    top = {
        "apiVersion": KINDS[kind].api[0],
        "kind": kind.split(".")[0],
        "metadata": {"name": "a"},
        "spec": spec,
        **more,
    }
    try_load(yaml.safe_dump(top))


@settings(max_examples=120, deadline=None, database=None)
@given(data=st.data())
def test_a_real_manifest_with_one_value_replaced(data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SAMPLES))
    path = data.draw(st.sampled_from(places(sample)))
    changed = replaced(sample, path, data.draw(VALUES))
    kustomization = isinstance(sample, dict) and sample.get("kind") in ("Kustomization", "Component")
    try_load(yaml.safe_dump(changed), "kustomization.yaml" if kustomization else "manifest.yaml")


@settings(max_examples=80, deadline=None, database=None)
@given(text=st.text(max_size=60) | st.text(alphabet="ab:-[]{}&*!|>'\"#\n ,<", max_size=40))
def test_any_text(text: str) -> None:
    try_load(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


@settings(max_examples=60, deadline=None, database=None)
@given(value=VALUES)
def test_any_mesh_configuration(value: Any) -> None:
    assert all(one.message for one in refused(lambda: read_mesh_config(yaml.safe_dump(value), "mesh.yaml")))


@settings(max_examples=60, deadline=None, database=None)
@given(patch=VALUES, target=VALUES)
def test_any_patch(patch: Any, target: Any) -> None:
    kustomization = {
        "resources": ["service.yaml"],
        "patches": [{"patch": yaml.safe_dump(patch)}, {"patch": yaml.safe_dump(patch), "target": target}],
    }
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "service.yaml").write_text(
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1}]}"
        )
        (base / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        assert all(problem.file and problem.message for problem in refused(lambda: load([base])))
