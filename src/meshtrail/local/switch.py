"""The propagation switch of each service, and its memory: a service that is started again keeps its mode."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from meshtrail.errors import MeshtrailError
from meshtrail.local.desired import DesiredPod
from meshtrail.local.fleet import Fleet
from meshtrail.local.http import Address, request
from meshtrail.local.process import Program

MODES = ("all", "b3", "w3c", "none")
VARIABLE = "PROPAGATION"


class Switch:
    """`modes` are those set while the mesh runs, by pod."""

    def __init__(self) -> None:
        self._modes: dict[str, str] = {}

    def program_of(self, pod: DesiredPod) -> Program:
        """The pod's program with the mode that was set at run time."""
        mode = self._modes.get(pod.pod.name)
        if mode is None:
            return pod.program
        return dataclasses.replace(pod.program, env={**pod.program.env, VARIABLE: mode})

    def manifests_changed(self, old: Mapping[str, DesiredPod], new: Mapping[str, DesiredPod]) -> dict[str, str]:
        """A mode written in the manifest after it was set by hand wins; returns what was known, for `restore`."""
        known = dict(self._modes)
        for name in list(self._modes):
            before = old[name].program.env.get(VARIABLE) if name in old else None
            after = new[name].program.env.get(VARIABLE) if name in new else None
            if before != after:
                del self._modes[name]
        return known

    def restore(self, known: dict[str, str]) -> None:
        self._modes = known

    async def show(self, pods: Mapping[str, DesiredPod]) -> dict[str, str]:
        """The mode of every pod that has a switch, as the pod says; `unknown` of one that does not answer."""
        found = {}
        for name, pod in pods.items():
            if pod.control is not None:
                try:
                    answer = await request(
                        "GET", Address(pod.control.host, pod.control.port), "/propagation", within=2.0
                    )
                    found[name] = str(answer.json()["mode"])
                except (OSError, ValueError, KeyError, TypeError):
                    found[name] = "unknown"
        return found

    async def set(self, service: str, mode: str, pods: Mapping[str, DesiredPod], fleet: Fleet) -> dict[str, str]:
        """Switch every pod of a service. Raises MeshtrailError: unknown service or mode, or no switch."""
        if mode not in MODES:
            raise MeshtrailError(f"no propagation mode '{mode}'", mend=f"take one of: {', '.join(MODES)}")
        meant = pods_of(service, pods)
        without = [name for name, pod in meant.items() if pod.control is None]
        if without:
            raise MeshtrailError(
                f"{service} has no propagation switch",
                mend="its Deployment needs PROPAGATION_CONTROL=on and the container port 8090 "
                "(k8s/components/propagation-control)",
            )
        for name in meant:
            await self.set_pod(name, mode, meant, fleet)
        return dict.fromkeys(meant, mode)

    async def set_pod(self, name: str, mode: str, pods: Mapping[str, DesiredPod], fleet: Fleet) -> None:
        """Switch one pod that has a switch."""
        await self._put(name, pods[name], mode)
        self._modes[name] = mode
        fleet.processes[name].program = self.program_of(pods[name])

    async def _put(self, name: str, pod: DesiredPod, mode: str) -> None:
        assert pod.control is not None
        where = Address(pod.control.host, pod.control.port)
        body: Any = json.dumps({"mode": mode}).encode()
        try:
            answer = await request("PUT", where, "/propagation", body=body, content_type="application/json")
        except OSError as error:
            raise MeshtrailError(
                f"the control port of {name} ({pod.control}) does not answer: {error}", mend="see `meshtrail status`"
            ) from None
        if answer.status != 200:
            raise MeshtrailError(f"{name} refused the mode: {answer.text()[:200]}")


def pods_of(service: str, pods: Mapping[str, DesiredPod]) -> dict[str, DesiredPod]:
    """The pods of a service: by its label `app`, so with every version, else by a Deployment's name or one pod's.

    Raises MeshtrailError naming the choices.
    """
    by_app = {name: pod for name, pod in pods.items() if pod.deployment.labels.get("app") == service}
    found = by_app or {name: pod for name, pod in pods.items() if service in (name, pod.pod.workload_key[1])}
    if not found:
        choices = dict.fromkeys(pod.deployment.labels.get("app", pod.pod.workload_key[1]) for pod in pods.values())
        raise MeshtrailError(f"no service '{service}' in this mesh", mend=f"its services: {', '.join(choices)}")
    return found
