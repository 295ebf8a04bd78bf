"""Kinds, files and folders, and the collection they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshtrail.errors import ManifestError, MeshtrailError, Warnings
from meshtrail.manifests import Manifests, kinds, load
from meshtrail.manifests.objects import KINDS, NOT_CARRIED_OUT, WITHOUT_MEANING

from .conftest import Read, Refuse


def config_map(name: str, namespace: str = "", value: str = "x") -> str:
    place = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}{place}}}\ndata: {{a: {value}}}\n"


def names(manifests: Manifests) -> list[str]:
    return [f"{key[1]}/{key[2]}" for key in manifests]


def test_files_folders_and_lists(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.yml").write_text(f"---\n{config_map('b1')}---\n---\n{config_map('b2', 'other')}")
    (tmp_path / "folder" / "a.yaml").write_text(
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"
    )
    (tmp_path / "folder" / "note.txt").write_text("no manifest")
    (tmp_path / "c.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}')
    found = load([tmp_path / "folder", tmp_path / "c.json"], default_namespace="shop")
    assert names(found) == ["shop/a", "shop/b1", "other/b2", "shop/c"]
    assert found.files() == {tmp_path / "folder" / "a.yaml", tmp_path / "folder" / "b.yml", tmp_path / "c.json"}
    assert found[("ConfigMap", "other", "b2")].meta.line == 8


def test_later_paths_win_and_twice_in_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(config_map("x", value="one"))
    (tmp_path / "b.yaml").write_text(config_map("x", value="two"))
    (found,) = load([tmp_path / "a.yaml", tmp_path / "b.yaml"]).of(kinds.ConfigMap)
    assert found.data == {"a": "two"}
    with pytest.raises(ManifestError, match=r"b\.yaml:1: ConfigMap default/x: is given twice .*a\.yaml:1"):
        load([tmp_path])
    (tmp_path / "b.yaml").write_text(config_map("x", "elsewhere"))
    assert len(load([tmp_path])) == 2


def test_overlay_and_without(read: Read) -> None:
    base = read(f"{config_map('a')}---\n{config_map('b')}")
    change = read(f"{config_map('c')}---\n{config_map('b', value='new')}")
    both = base.overlay(change)
    assert names(both) == ["default/a", "default/b", "default/c"]
    (b,) = [one for one in both.of(kinds.ConfigMap) if one.meta.name == "b"]
    assert b.data == {"a": "new"}
    assert len(base) == 2
    assert names(both.without(change)) == ["default/a"]
    with pytest.raises(MeshtrailError, match="not in the mesh: ConfigMap default/c"):
        base.without(change)


@pytest.mark.parametrize("kind", sorted(WITHOUT_MEANING))
def test_kinds_without_meaning_are_left_alone(read: Read, kind: str) -> None:
    assert len(read(f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{whatever: 1}}\n")) == 0


@pytest.mark.parametrize("kind", sorted(NOT_CARRIED_OUT))
def test_kinds_that_are_refused(refuse: Refuse, tmp_path: Path, kind: str) -> None:
    (problem,) = refuse(f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\n")
    assert f"kind {kind} is not carried out by the local mesh" in problem.message
    warnings = Warnings()
    assert not load([tmp_path / "manifest.yaml"], lenient=True, warnings=warnings)
    assert len(warnings.problems) == 1


def test_no_kind_is_in_two_tables() -> None:
    tables = [set(KINDS), set(WITHOUT_MEANING), set(NOT_CARRIED_OUT)]
    assert len(set().union(*tables)) == sum(len(table) for table in tables)


@pytest.mark.parametrize(
    ("text", "field", "part"),
    [
        (
            "apiVersion: v1\nkind: Servic\nmetadata: {name: a}",
            "kind",
            "did you mean 'Service'? supported: AuthorizationPolicy,",
        ),
        ("apiVersion: v1\nkind: Deployment\nmetadata: {name: a}", "apiVersion", "use apps/v1"),
        ("apiVersion: v1\nkind: 5", "kind", "must be a string"),
        ("apiVersion: v1\nmetadata: {name: a}", "kind", "is required"),
        ("kind: Service\nmetadata: {name: a}", "apiVersion", "is required"),
        ("apiVersion: one\nkind: Service", "apiVersion", "is not an API version"),
        ("apiVersion: v1\nkind: ConfigMap", "metadata", "is required"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}", "metadata.name", "is required"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_b}", "metadata.name", "is not a name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: a.b}", "metadata.namespace", "namespace"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, label: {}}", "metadata.label", "did you mean 'labels'?"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndat: {}", "dat", "did you mean 'data'?"),
        ("- a", "", "a manifest is a mapping, not a list"),
        ("just text", "", "not the string 'just text'"),
    ],
)
def test_what_is_no_manifest(refuse: Refuse, text: str, field: str, part: str) -> None:
    (problem,) = refuse(text)
    assert problem.field == field
    assert part in str(problem)
    assert problem.line > 0


def test_empty_folder_and_missing_path(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no YAML files"):
        load([tmp_path])
    with pytest.raises(ManifestError, match="no such file") as caught:
        load([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert len(caught.value.problems) == 2


def test_text_of_a_problem(refuse: Refuse) -> None:
    text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n"
    (problem,) = refuse(f"{text}  http:\n  - rout: []\n    redirect: {{uri: /}}\n")
    where = f"{problem.file}:7: VirtualService default/a: spec.http[0].rout"
    assert str(problem) == f"{where}: unknown field 'rout'\n  mend: did you mean 'route'?"
