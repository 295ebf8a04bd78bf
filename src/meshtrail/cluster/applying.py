"""`kubectl apply` and `kubectl delete` of manifests in the namespace of a command, until they are carried out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from meshtrail.cluster.kubectl import ClusterError, Kubectl, explained
from meshtrail.cluster.moving import CLUSTER_WIDE, moved
from meshtrail.errors import MeshtrailError
from meshtrail.manifests import kustomize
from meshtrail.manifests.files import SUFFIXES

WITHIN_S = 120.0
"""Webhooks of a busy cluster take their time."""

ROLLED_OUT_WITHIN_S = 240


def read(kubectl: Kubectl, documents: Sequence[Mapping[str, str]], namespace: str) -> list[dict[str, Any]]:
    """The objects of `-f` and `-k` ({"name", "text"} for a file, {"name", "path"} for a folder), in the namespace.

    A kustomization is built by kubectl. Raises MeshtrailError.
    """
    found: list[Any] = []
    for document in documents:
        if "text" in document:
            found += _parsed(document["text"], document["name"])
            continue
        folder = Path(document["path"])
        if kustomize.find(folder):
            found += _parsed(kubectl.run("kustomize", str(folder), within=WITHIN_S), document["name"])
            continue
        files = sorted(child for child in folder.iterdir() if child.suffix in SUFFIXES and child.is_file())
        if not files:
            raise MeshtrailError(f"{document['name']}: holds no kustomization.yaml and no YAML files")
        for file in files:
            found += _parsed(file.read_text(encoding="utf-8"), str(file))
    return moved(found, namespace)


def _parsed(text: str, name: str) -> list[Any]:
    try:
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
    except yaml.YAMLError as error:
        raise MeshtrailError(f"{name}: {error}") from None
    flat = []
    for one in documents:
        items = one.get("items", []) if isinstance(one, dict) and one.get("kind") == "List" else [one]
        for item in items:
            if not isinstance(item, dict) or not item.get("kind") or not (item.get("metadata") or {}).get("name"):
                raise MeshtrailError(f"{name}: not a manifest: it needs kind and metadata.name")
            flat.append(item)
    return flat


def apply(kubectl: Kubectl, objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """kubectl's lines, once the pods of changed Deployments are ready. Raises ClusterError."""
    ordered = sorted(objects, key=lambda one: one["kind"] not in CLUSTER_WIDE)
    lines = send(kubectl, "apply", ordered)
    deployments = [one for one in ordered if one["kind"] == "Deployment"]
    said = dict(line.rsplit(" ", 1) for line in lines if " " in line)
    changed = [one for one in deployments if said.get(f"deployment.apps/{one['metadata']['name']}") != "unchanged"]
    for one in changed:
        rolled_out(kubectl, one["metadata"]["namespace"], f"deployment/{one['metadata']['name']}")
    return lines


def delete(kubectl: Kubectl, objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """kubectl's lines. Raises ClusterError, also when one of the objects is not there."""
    return send(kubectl, "delete", objects)


def send(kubectl: Kubectl, verb: str, objects: Sequence[Mapping[str, Any]], *options: str) -> list[str]:
    """`kubectl VERB -f -` with these objects; the lines that it answers."""
    if not objects:
        return []
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    arguments = (verb, "-f", "-", *options)
    try:
        done = subprocess.run(
            kubectl.command(*arguments), input=content, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(
            f"kubectl {verb} took more than {WITHIN_S:g} s", mend=f"see `{kubectl.call} get events -A`"
        ) from None
    if done.returncode:
        raise explained(done.stderr, kubectl.context, arguments)
    return done.stdout.splitlines()


def rolled_out(kubectl: Kubectl, namespace: str, workload: str) -> None:
    """Wait until a Deployment's or StatefulSet's pods are the new ones, and ready. Raises ClusterError."""
    try:
        kubectl.run(
            "-n", namespace, "rollout", "status", workload, f"--timeout={ROLLED_OUT_WITHIN_S}s",
            within=ROLLED_OUT_WITHIN_S + 10,
        )  # fmt: skip
    except ClusterError as error:
        raise ClusterError(
            f"{workload} of namespace {namespace} does not get ready: {error.message}",
            mend=f"see `{kubectl.call} -n {namespace} get pods`, and describe the one that is not ready",
        ) from error
