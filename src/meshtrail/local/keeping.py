"""What a running mesh was at a moment, kept under a label, so that it can be given back whole.

For exercises: what is laid over, deleted or switched between `keep` and `restore` is as it was. What the files have
said in between holds: they are the user's own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from meshtrail.local import objects
from meshtrail.local.control import Handler
from meshtrail.local.rollout import CONNECTIONS_GO, new_listeners
from meshtrail.local.sources import Source
from meshtrail.manifests import Manifests
from meshtrail.manifests.document import clone
from meshtrail.manifests.kinds import MeshConfig, Resource

if TYPE_CHECKING:
    from meshtrail.local.runtime import LocalMesh

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Kept:
    """`modes` are the propagation modes of the pods that have a switch."""

    manifests: Manifests
    source: Source
    modes: Mapping[str, str]


class Keeper:
    """The part of the control API that shows, keeps and gives back the objects of a running mesh."""

    def __init__(self, mesh: LocalMesh) -> None:
        self._mesh = mesh
        self._kept: dict[str, Kept] = {}

    def handlers(self) -> dict[tuple[str, str], Handler]:
        return {
            ("GET", "objects"): self._objects,
            ("GET", "options"): self._options,
            ("POST", "keep"): self._keep,
            ("POST", "restore"): self._restore,
        }

    async def _objects(self, rest: list[str], body: Any) -> Any:
        assert self._mesh.current is not None
        return {"objects": [as_written(resource) for resource in self._mesh.current.manifests.values()]}

    async def _options(self, rest: list[str], body: Any) -> Any:
        return {"options": json.loads(self._mesh.options.to_json())}

    async def _keep(self, rest: list[str], body: Any) -> Any:
        """`label` names what is kept; what was kept under it before is forgotten."""
        async with self._mesh.changing:
            assert self._mesh.current is not None
            modes = await self._mesh.switch.show(self._mesh.current.pods)
            self._kept[str(body["label"])] = Kept(self._mesh.current.manifests, self._mesh.source, modes)
        return {"kept": str(body["label"])}

    async def _restore(self, rest: list[str], body: Any) -> Any:
        """Back to what is kept under `label`; without one, to what the files say. Answers whether there was one."""
        mesh = self._mesh
        async with mesh.changing:
            assert mesh.current is not None
            kept = self._kept.pop(str(body["label"]), None)
            if kept is None:
                wanted = mesh.source.manifests
            else:
                wanted, _ = objects.edit(kept.manifests, kept.source.manifests, mesh.source.manifests)
            changed = [
                key
                for key in {**wanted, **mesh.current.manifests}
                if not (
                    key in wanted
                    and key in mesh.current.manifests
                    and objects.same(wanted[key], mesh.current.manifests[key])
                )
            ]
            before = mesh.current.proxies
            if changed:
                await mesh.change_to(wanted)
            await self._modes_back({} if kept is None else kept.modes)
            if new_listeners(before, mesh.current.proxies):
                await asyncio.sleep(CONNECTIONS_GO)
        mesh.say("restore", f"given back: {', '.join('/'.join(key) for key in changed) or 'nothing had changed'}")
        return {"found": kept is not None, "changed": ["/".join(part for part in key if part) for key in changed]}

    async def _modes_back(self, modes: Mapping[str, str]) -> None:
        assert self._mesh.current is not None
        pods = self._mesh.current.pods
        for name, now in (await self._mesh.switch.show(pods)).items():
            before = modes.get(name) or pods[name].program.env.get("PROPAGATION", "all")
            if before not in (now, UNKNOWN):
                await self._mesh.switch.set_pod(name, before, pods, self._mesh.fleet)


def as_written(resource: Resource) -> dict[str, Any]:
    """The object as `kubectl get -o json` would give it: as written, with the namespace that it is in.

    The mesh configuration is the ConfigMap that it is on a cluster, whoever wrote it.
    """
    raw: dict[str, Any] = dict(clone(resource.meta.raw))
    if isinstance(resource, MeshConfig) and raw.get("kind") != "ConfigMap":
        said = ((raw.get("spec") or {}).get("meshConfig")) or {}
        meta = {"name": resource.meta.name, "namespace": resource.meta.namespace}
        text = yaml.safe_dump(json.loads(json.dumps(said)), sort_keys=False)
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"mesh": text}}
    if resource.meta.namespace:
        raw["metadata"] = {**raw["metadata"], "namespace": resource.meta.namespace}
    return raw
