from __future__ import annotations

import dataclasses

import pytest

from meshtrail.errors import MeshtrailError
from meshtrail.local import objects
from meshtrail.manifests import Manifests
from meshtrail.manifests.kinds import ConfigMap, Deployment, Meta


def thing(name: str, value: str = "1", *, line: int = 1, namespace: str = "ns") -> ConfigMap:
    return ConfigMap(Meta("ConfigMap", name, namespace, file="f.yaml", line=line), {"v": value})


def values(manifests: Manifests) -> dict[str, str]:
    return {key[2]: item.data["v"] for key, item in manifests.items() if isinstance(item, ConfigMap)}


def test_apply_says_what_kubectl_says() -> None:
    live = Manifests([thing("a"), thing("b")])
    after, changes = objects.apply(live, Manifests([thing("a", line=9), thing("b", "2"), thing("c")]))
    assert [str(change) for change in changes] == [
        "configmap/a unchanged",
        "configmap/b configured",
        "configmap/c created",
    ]
    assert values(after) == {"a": "1", "b": "2", "c": "1"}


def test_delete_needs_the_object_to_be_there() -> None:
    live = Manifests([thing("a"), thing("b")])
    after, changes = objects.delete(live, Manifests([thing("a")]))
    assert (values(after), [str(change) for change in changes]) == ({"b": "1"}, ["configmap/a deleted"])
    with pytest.raises(MeshtrailError, match="c"):
        objects.delete(live, Manifests([thing("c")]))


def test_delete_takes_the_topmost_layer_away() -> None:
    application = Manifests([thing("a"), thing("b")])
    files = application.overlay(Manifests([thing("a", "up -f"), thing("c", "up -f")]))
    live, _ = objects.apply(files, Manifests([thing("a", "applied"), thing("b", "applied"), thing("d", "applied")]))
    layers = (application, files)
    assert list(values(live)) == ["a", "b", "c", "d"]
    after, changes = objects.delete(live, Manifests([thing("a"), thing("b"), thing("d")]), layers)
    assert values(after) == {"a": "up -f", "b": "1", "c": "up -f"}
    assert [str(change) for change in changes] == [
        "configmap/a deleted (f.yaml holds again)",
        "configmap/b deleted (f.yaml holds again)",
        "configmap/d deleted",
    ]
    # What stays keeps its place: the order of objects decides where two rule the same.
    assert list(values(after)) == ["a", "b", "c"]
    after, changes = objects.delete(after, Manifests([thing("a"), thing("b"), thing("c")]), layers)
    assert values(after) == {"a": "1"}
    after, changes = objects.delete(after, Manifests([thing("a")]), layers)
    assert (values(after), [str(change) for change in changes]) == ({}, ["configmap/a deleted"])
    with pytest.raises(MeshtrailError, match="a"):
        objects.delete(after, Manifests([thing("a")]), layers)


def test_an_edit_writes_only_what_it_changed() -> None:
    before = Manifests([thing("a"), thing("b"), thing("c")])
    live, _ = objects.apply(before, Manifests([thing("b", "applied")]))
    # a changed, b only moved within its file, c went, d came.
    after = Manifests([thing("a", "edited"), thing("b", line=7), thing("d")])
    now, changes = objects.edit(live, before, after)
    assert values(now) == {"a": "edited", "b": "applied", "d": "1"}
    assert [str(change) for change in changes] == [
        "configmap/a configured",
        "configmap/d created",
        "configmap/c deleted",
    ]


def test_an_edit_of_what_was_applied_over_wins_as_the_later_one() -> None:
    before = Manifests([thing("a")])
    live, _ = objects.apply(before, Manifests([thing("a", "applied")]))
    now, _ = objects.edit(live, before, Manifests([thing("a", "edited")]))
    assert values(now) == {"a": "edited"}


def test_what_was_deleted_by_hand_stays_deleted_until_its_text_changes() -> None:
    before = Manifests([thing("a"), thing("b")])
    live, _ = objects.delete(before, Manifests([thing("a")]))
    now, _ = objects.edit(live, before, Manifests([thing("a"), thing("b", "2")]))
    assert values(now) == {"b": "2"}
    now, changes = objects.edit(live, before, Manifests([thing("a", "2"), thing("b")]))
    assert values(now) == {"a": "2", "b": "1"}
    assert [str(change) for change in changes] == ["configmap/a created"]


def test_a_moved_object_is_named_at_its_new_line() -> None:
    before = Manifests([thing("a")])
    now, changes = objects.edit(before, before, Manifests([thing("a", line=5)]))
    assert ([item.meta.line for item in now.values()], changes) == ([5], [])


def test_the_main_namespace_is_where_the_deployments_are() -> None:
    def deployment(name: str, namespace: str) -> Deployment:
        return Deployment(Meta("Deployment", name, namespace), 1, {}, {}, ())

    assert objects.main_namespace(Manifests()) == "default"
    found = objects.main_namespace(
        Manifests([deployment("a", "x"), deployment("b", "y"), deployment("c", "y"), thing("z")])
    )
    assert found == "y"


def test_same_ignores_only_the_place() -> None:
    one = thing("a")
    assert objects.same(one, thing("a", line=4))
    assert not objects.same(one, thing("a", "2"))
    assert not objects.same(one, dataclasses.replace(one, meta=dataclasses.replace(one.meta, labels={"x": "y"})))
