"""kubectl's complaints, as it writes them (kubectl 1.34), and a kubectl that is not there or has no context."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from meshtrail.cluster.kubectl import (
    ClusterError,
    ForbiddenError,
    Kubectl,
    NotFoundError,
    UnknownKindError,
    UnreachableError,
    connect,
    explained,
)

REFUSED = """\
E1121 05:41:35.424252 23521 memcache.go:265] "Unhandled Error" err="couldn't get current server API group list: ..."
The connection to the server localhost:8080 was refused - did you specify the right host or port?
"""
FORBIDDEN = (
    'Error from server (Forbidden): pods is forbidden: User "viewer" cannot list resource "pods" in API group "" at '
    "the cluster scope\n"
)


@pytest.mark.parametrize(
    ("stderr", "kind", "words"),
    [
        (REFUSED, UnreachableError, ("localhost:8080 was refused", "--context", "kubectl --context c version")),
        ("Unable to connect to the server: dial tcp 192.0.2.1:6443: i/o timeout", UnreachableError, ("i/o timeout",)),
        ("Unable to connect to the server: dial tcp: lookup x.invalid: no such host", UnreachableError, ("x.invalid",)),
        ("Please enter Username: error: EOF", ClusterError, ("failed",)),
        ("error: EOF", ClusterError, ("does not know you", "log in")),
        ("error: You must be logged in to the server (Unauthorized)", ClusterError, ("does not know you",)),
        (FORBIDDEN, ForbiddenError, ("cannot list resource", "auth can-i --list")),
        ('Error from server (NotFound): services "nope" not found', NotFoundError, ('services "nope" not found',)),
        ('error: the server doesn\'t have a resource type "gateways"', UnknownKindError, ("knows no gateways",)),
        ("error: Service backend does not have a service port 99", ClusterError, ("service port 99",)),
    ],
)
def test_a_complaint_becomes_an_error_with_a_mend(
    stderr: str, kind: type[ClusterError], words: tuple[str, ...]
) -> None:
    error = explained(stderr, "c", ["get", "pods"])
    assert type(error) is kind
    assert all(word in str(error) for word in words), str(error)


def script(folder: Path, text: str) -> Path:
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_no_kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="no kubectl on the PATH") as caught:
        connect()
    assert "install" in caught.value.mend


CONTEXTS = """
case "$*" in
  "config get-contexts -o name") echo kind-one; echo two ;;
  "config current-context") {current} ;;
esac
"""


@pytest.mark.parametrize(
    ("current", "context", "said"),
    [
        ("echo kind-one", None, ""),
        ("echo kind-one", "two", ""),
        ("echo kind-one", "three", "no context 'three'"),
        ("echo 'error: current-context is not set' >&2; exit 1", None, "no current context"),
        ("echo 'error: error loading config file: yaml: line 2' >&2; exit 1", None, "cannot read its configuration"),
    ],
)
def test_the_context_is_chosen_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, current: str, context: str | None, said: str
) -> None:
    script(tmp_path, CONTEXTS.format(current=current))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if not said:
        found = connect(context)
        assert found.context == (context or "kind-one")
        assert found.command("get", "pods") == [found.program, "--context", found.context, "get", "pods"]
        return
    with pytest.raises(ClusterError, match=said) as caught:
        connect(context)
    assert "kind-one" in caught.value.mend or "KUBECONFIG" in caught.value.mend


def test_what_may_be_listed_is_kept_beside_what_may_not(tmp_path: Path) -> None:
    listed = '{"items": [{"kind": "Service", "metadata": {"name": "a"}}]}'
    program = script(tmp_path, f"echo '{listed}'; echo '{FORBIDDEN.strip()}' >&2; exit 1")
    found, forbidden = Kubectl(str(program), "c").objects(["services", "pods"], namespace="n")
    assert [one["metadata"]["name"] for one in found] == ["a"]
    assert forbidden == ("pods",)


def test_a_cluster_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    program = script(tmp_path, "exec sleep 60")
    with pytest.raises(UnreachableError, match="took more than"):
        Kubectl(str(program), "c").run("version", within=0.3)
