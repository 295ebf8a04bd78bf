"""Strategic merge and JSON 6902 on their own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from meshtrail.errors import ManifestError
from meshtrail.manifests.document import List, Map, Mark, adopt, parse, plain
from meshtrail.manifests.patching import json_patch, strategic_merge

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, labels: {app: a, old: x}}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: a
        image: a:1
        command: [a, b]
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        ports: [{name: http, containerPort: 80}, {name: dns, containerPort: 53, protocol: UDP}]
"""
HEAD = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"


def document(text: str) -> Map:
    found = parse(text, "f.yaml")[0]
    assert isinstance(found, Map)
    return found


def merged(patch: str) -> Any:
    return plain(strategic_merge(document(DEPLOYMENT), document(HEAD + patch)))


def container(patch: str) -> Any:
    return merged(f"spec: {{template: {{spec: {{containers: [{{name: a, {patch}}}]}}}}}}")["spec"]["template"]["spec"][
        "containers"
    ][0]


def test_lists_with_a_key_are_joined_the_patch_first() -> None:
    found = container('env: [{name: C, value: "3"}, {name: B, value: "9"}]')
    assert [(one["name"], one["value"]) for one in found["env"]] == [("C", "3"), ("B", "9"), ("A", "1")]
    assert found["image"] == "a:1"


def test_one_port_number_for_two_protocols_stays_two() -> None:
    found = container("ports: [{containerPort: 53, protocol: TCP, name: tcp}, {containerPort: 80, name: web}]")
    assert [(one["containerPort"], one["name"]) for one in found["ports"]] == [(53, "tcp"), (80, "web"), (53, "dns")]


def test_other_lists_are_replaced() -> None:
    assert container("command: [c]")["command"] == ["c"]


def test_null_and_delete() -> None:
    assert "replicas" not in merged("spec: {replicas: null}")["spec"]
    found = plain(
        strategic_merge(
            document(DEPLOYMENT),
            document("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, labels: {old: null, new: z}}\n"),
        )
    )
    assert found["metadata"]["labels"] == {"app": "a", "new": "z"}
    assert [one["name"] for one in container("env: [{name: A, $patch: delete}]")["env"]] == ["B"]
    assert strategic_merge(document(DEPLOYMENT), document(f"{HEAD}$patch: delete\n")) is None


def test_replace_a_mapping_and_identity_stays() -> None:
    found = plain(
        strategic_merge(
            document(DEPLOYMENT),
            document("apiVersion: v9\nkind: Deployment\nmetadata: {name: b, labels: {$patch: replace, k: v}}\n"),
        )
    )
    assert found["metadata"] == {"name": "a", "labels": {"k": "v"}}
    assert found["apiVersion"] == "apps/v1"


def test_the_object_itself_is_not_changed_and_places_are_kept() -> None:
    base = document(DEPLOYMENT)
    before = plain(base)
    patch = parse(f"{HEAD}spec:\n  replicas: 3\n", "patch.yaml")[0]
    found = strategic_merge(base, patch)
    assert plain(base) == before
    assert found is not None
    assert (found["spec"].where("replicas").file, found["spec"].where("replicas").line) == ("patch.yaml", 5)
    assert found["spec"].where("template").file == "f.yaml"


@pytest.mark.parametrize(
    ("patch", "part"),
    [
        ("spec: {template: {spec: {containers: [{image: b}]}}}", "an item needs name"),
        ("spec: {template: {spec: {containers: [a]}}}", "an item must be a mapping"),
        ("spec: {$patch: remove}", "is not supported here"),
        ("spec: {$retainKeys: [a]}", "is not supported"),
    ],
)
def test_wrong_merges(patch: str, part: str) -> None:
    with pytest.raises(ManifestError, match=part.replace("$", r"\$")):
        merged(patch)


def operations(text: str) -> List:
    made = adopt(yaml.safe_load(text), Mark("patch.yaml", 1))
    assert isinstance(made, List)
    return made


@pytest.mark.parametrize(
    ("patch", "spec"),
    [
        ("[{op: add, path: /l/1, value: x}]", {"l": [1, "x", 2], "m": {"a/b": 1}}),
        ("[{op: add, path: /l/-, value: x}]", {"l": [1, 2, "x"], "m": {"a/b": 1}}),
        ("[{op: add, path: /l/2, value: x}]", {"l": [1, 2, "x"], "m": {"a/b": 1}}),
        ("[{op: add, path: /n, value: {o: 1}}]", {"l": [1, 2], "m": {"a/b": 1}, "n": {"o": 1}}),
        ("[{op: replace, path: /m/a~1b, value: 2}]", {"l": [1, 2], "m": {"a/b": 2}}),
        ("[{op: remove, path: /l/0}]", {"l": [2], "m": {"a/b": 1}}),
        ("[{op: test, path: /l/0, value: 1}, {op: remove, path: /m}]", {"l": [1, 2]}),
        ("[{op: copy, from: /l, path: /m/c}]", {"l": [1, 2], "m": {"a/b": 1, "c": [1, 2]}}),
        ("[{op: move, from: /l/0, path: /first}]", {"l": [2], "m": {"a/b": 1}, "first": 1}),
    ],
)
def test_json_patch(patch: str, spec: object) -> None:
    target = document("l: [1, 2]\nm: {a/b: 1}\n")
    assert plain(json_patch(target, operations(patch))) == spec
    assert plain(target) == {"l": [1, 2], "m": {"a/b": 1}}


@pytest.mark.parametrize(
    ("patch", "part"),
    [
        ("[{op: add, path: /l/3, value: x}]", "there is no item '3'"),
        ("[{op: add, path: /x/y, value: x}]", "there is no 'x'"),
        ("[{op: replace, path: /x, value: x}]", "there is no 'x'"),
        ("[{op: remove, path: /l/2}]", "there is no item '2'"),
        ("[{op: remove, path: /l/-}]", "there is no item '-'"),
        ("[{op: test, path: /l/0, value: 2}]", "the test failed"),
        ("[{op: add, path: /n}]", "add needs a value"),
        ("[{op: append, path: /n, value: 1}]", "is not an operation"),
        ("[{op: add, path: n, value: 1}]", "JSON pointer"),
        ("[{op: add, path: /l/0/a, value: 1}]", "leads through a plain value"),
        ("[{op: move, from: /m, path: /m/x}]", "into itself"),
        ("[{op: add, path: /n, valu: 1}]", "unknown field 'valu'"),
        ("[a]", "must be a mapping"),
    ],
)
def test_wrong_json_patches(patch: str, part: str) -> None:
    with pytest.raises(ManifestError, match=part):
        json_patch(document("l: [1, 2]\nm: {}\n"), operations(patch))
