"""A recorded cluster: three-tier from k8s/overlays/dev in namespace mt-e, on Istio's demo profile with its Jaeger.

`record.py` wrote it. Tests change a copy, one fault at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from meshtrail.cluster import objects
from meshtrail.cluster.snapshot import Snapshot

RECORDED = Path(__file__).parent / "recorded"
NAMESPACE = "mt-e"
Object = dict[str, Any]


@cache
def _text(name: str) -> str:
    return (RECORDED / f"{name}.json").read_text()


class Cluster:
    """A recorded cluster that a test may change before it takes the snapshot."""

    def __init__(self, name: str = "three-tier") -> None:
        self.data: dict[str, Any] = json.loads(_text(name))
        self.items: list[Object] = self.data["items"]
        self.mesh: Object = self.data["mesh"]

    def one(self, kind: str, name: str, namespace: str = NAMESPACE) -> Object:
        """The object to change; pods by the beginning of their name."""
        return next(
            item
            for item in self.items
            if item["kind"] == kind
            and objects.namespace(item) in (namespace, "")
            and (objects.name(item) == name or (kind == "Pod" and objects.name(item).startswith(name)))
        )

    def drop(self, wanted: Callable[[Object], bool]) -> None:
        before = len(self.items)
        self.items[:] = [item for item in self.items if not wanted(item)]
        assert len(self.items) < before, "nothing was dropped"

    def add(self, item: Object) -> None:
        self.items.append(item)

    def telemetry(self, name: str, namespace: str = NAMESPACE, **tracing: Any) -> Object:
        """Add a Telemetry younger than the recorded one, with one tracing entry."""
        added = {
            "apiVersion": "telemetry.istio.io/v1",
            "kind": "Telemetry",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2030-01-01T00:00:00Z"},
            "spec": {"tracing": [tracing]},
        }
        self.add(added)
        return added

    def snapshot(self, **changed: Any) -> Snapshot:
        fields = {
            "context": self.data["context"],
            "server": self.data["server"],
            "version": self.data["version"],
            "apis": frozenset(self.data["apis"]),
            "namespace": self.data["namespace"],
            "items": tuple(self.items),
            "mesh": self.mesh,
        }
        return Snapshot(**{**fields, **changed})


def deployment(cluster: Cluster, name: str) -> Object:
    return cluster.one("Deployment", name)


def container(cluster: Cluster, name: str) -> Object:
    """The container of a Deployment's template."""
    found: Object = deployment(cluster, name)["spec"]["template"]["spec"]["containers"][0]
    return found
