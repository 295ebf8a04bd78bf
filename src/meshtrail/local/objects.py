"""The objects of a running mesh, as a cluster keeps them: the last writer of an object wins.

Files that are watched, `apply` and `delete` all write here. An edited file writes the objects that differ from the
file before, so that what `apply` laid over other objects stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from meshtrail.manifests import Manifests
from meshtrail.manifests.kinds import Key, Resource

Verb = Literal["created", "configured", "unchanged", "deleted"]

API_GROUPS = {
    "Deployment": "apps",
    "Gateway": "networking.istio.io",
    "VirtualService": "networking.istio.io",
    "DestinationRule": "networking.istio.io",
    "ServiceEntry": "networking.istio.io",
    "EnvoyFilter": "networking.istio.io",
    "Telemetry": "telemetry.istio.io",
    "IstioOperator": "install.istio.io",
    "AuthorizationPolicy": "security.istio.io",
    "HTTPRoute": "gateway.networking.k8s.io",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one object; `str()` is kubectl's line. `again` names the file whose word holds again."""

    kind: str
    name: str
    verb: Verb
    again: str = ""

    def __str__(self) -> str:
        group = API_GROUPS.get(self.kind)
        line = f"{self.kind.lower()}{f'.{group}' if group else ''}/{self.name} {self.verb}"
        return f"{line} ({self.again} holds again)" if self.again else line


def same(one: Resource, other: Resource) -> bool:
    """Whether two objects say the same, wherever they were written."""
    return _placeless(one) == _placeless(other)


def apply(live: Manifests, applied: Manifests) -> tuple[Manifests, list[Change]]:
    """`kubectl apply`: the objects afterwards, and what happened to each."""
    changes = []
    for key, resource in applied.items():
        before = live.get(key)
        verb: Verb = "created" if before is None else "unchanged" if same(before, resource) else "configured"
        changes.append(Change(key[0], key[2], verb))
    return live.overlay(applied), changes


def delete(live: Manifests, named: Manifests, layers: Sequence[Manifests] = ()) -> tuple[Manifests, list[Change]]:
    """Take the topmost layer of each object away; an object with none below is gone, as with `kubectl delete`.

    `layers` are what the watched files say, lowest first: the application, then with each `-f` laid over. Raises
    MeshtrailError when one of the objects is not there.
    """
    live.without(named)
    below = {key: found for key in named if (found := _below(live[key], [layer.get(key) for layer in layers]))}
    gone = Manifests([named[key] for key in named if key not in below])
    changes = [Change(key[0], key[2], "deleted", again=below[key].meta.file if key in below else "") for key in named]
    return live.without(gone).overlay(Manifests(below.values())), changes


def _below(live: Resource, layers: Sequence[Resource | None]) -> Resource | None:
    """What an object was before the layer that made it what it is; None: it was not there."""
    found: Resource | None = None
    for layer in layers:
        if layer is not None and same(layer, live):
            return found
        found = layer if layer is not None else found
    return found


def edit(live: Manifests, before: Manifests, after: Manifests) -> tuple[Manifests, list[Change]]:
    """The watched files said `before` and say `after`: what that does to the live objects."""
    changes: list[Change] = []
    written: list[Resource] = []
    for key, resource in after.items():
        old = before.get(key)
        if old is None or not same(old, resource):
            changes.append(Change(key[0], key[2], "configured" if key in live else "created"))
            written.append(resource)
        elif live.get(key) == old:
            written.append(resource)  # only moved within its file: errors shall name the right line
    gone: list[Key] = [key for key in before if key not in after and key in live]
    changes += [Change(key[0], key[2], "deleted") for key in gone]
    left = live.without(Manifests([live[key] for key in gone])) if gone else live
    return left.overlay(Manifests(written)), changes


def main_namespace(manifests: Manifests) -> str:
    """Where an application lives: the namespace that most Deployments are in; `default` without any."""
    counted: dict[str, int] = {}
    for kind, namespace, _ in manifests:
        if kind == "Deployment":
            counted[namespace] = counted.get(namespace, 0) + 1
    return max(counted, key=lambda name: counted[name], default="default")


def _placeless(resource: Resource) -> Resource:
    return dataclasses.replace(resource, meta=dataclasses.replace(resource.meta, file="", line=0))
