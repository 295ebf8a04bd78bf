"""Brings a running mesh from one desired state to another; when a step fails, everything goes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from meshtrail.errors import MeshtrailError
from meshtrail.local.desired import Desired, DesiredPod, pod_folder
from meshtrail.local.fleet import ENVOY_GRACE, Fleet, probing
from meshtrail.local.process import Program
from meshtrail.local.programs import write_volumes
from meshtrail.local.rollout import Places, process_name, roll_out, write_all

# How long the sidecars of a pod that goes keep serving what is under way, and get their spans out.
DRAIN = 0.3
ProgramOf = Callable[[DesiredPod], Program]


class Transition:
    """One step from `old` to `new`. `program_of` gives the program of a pod as it shall run (the switch included)."""

    def __init__(
        self, fleet: Fleet, old: Desired, new: Desired, *, places: Places, envoy: Path, program_of: ProgramOf
    ) -> None:
        self._fleet = fleet
        self._old = old
        self._new = new
        self._places = places
        self._run_folder = places.run
        self._envoy = envoy
        self._program_of = program_of
        self._started: list[str] = []
        self._replaced: list[str] = []

    async def run(self) -> None:
        """Raises MeshtrailError (StartError, RejectedError) after everything is as before."""
        try:
            await self._start_added()
            self._write_volumes(self._new)
            await self._restart_proxies(self._old, self._new)
            await roll_out(self._old.proxies, self._new.proxies, self._places)
            await self._replace_programs()
        except MeshtrailError:
            await self._undo()
            raise
        await self._stop_removed()

    async def _start_added(self) -> None:
        for name, pod in self._new.pods.items():
            if name not in self._old.pods:
                self._fleet.start_pod(pod, self._program_of(pod), self._new.mesh.config_maps)
                self._started.append(name)
        for name, proxy in self._new.proxies.items():
            if name not in self._old.proxies:
                write_all(proxy, self._run_folder)
                self._fleet.start_proxy(proxy, self._new.addresses, self._envoy)
                self._started.append(process_name(proxy))
        await self._fleet.wait_ready(self._started)

    def _write_volumes(self, state: Desired) -> None:
        for pod in state.pods.values():
            write_volumes(pod.deployment, state.mesh.config_maps, folder=pod_folder(self._run_folder, pod.pod.name))

    async def _restart_proxies(self, old: Desired, new: Desired) -> None:
        """An Envoy reads its bootstrap once."""
        names = [n for n in new.proxies if n in old.proxies and new.proxies[n].bootstrap != old.proxies[n].bootstrap]
        for name in names:
            proxy = new.proxies[name]
            await self._fleet.stop([process_name(proxy)], ENVOY_GRACE)
            write_all(proxy, self._run_folder)
            self._fleet.start_proxy(proxy, new.addresses, self._envoy)
        await self._fleet.wait_ready(process_name(new.proxies[name]) for name in names)

    async def _replace_programs(self) -> None:
        """The pods of one Deployment one after the other, Deployments side by side."""
        changed: dict[tuple[str, str], list[str]] = {}
        for name, pod in self._new.pods.items():
            old = self._old.pods.get(name)
            if old is None:
                continue
            process = self._fleet.processes[name]
            process.ready = probing(pod.probe)
            if process.program != self._program_of(pod):
                changed.setdefault(pod.pod.workload_key, []).append(name)
        await _all(self._replace_in_turn(names) for names in changed.values())

    async def _replace_in_turn(self, names: list[str]) -> None:
        for name in names:
            self._replaced.append(name)
            pod = self._new.pods[name]
            await self._fleet.processes[name].replace(self._program_of(pod), self._old.pods[name].grace)

    async def _undo(self) -> None:
        self._write_volumes(self._old)
        for name in self._replaced:
            pod = self._old.pods[name]
            process = self._fleet.processes[name]
            process.ready = probing(pod.probe)
            with contextlib.suppress(MeshtrailError):
                await process.replace(self._program_of(pod), pod.grace)
        with contextlib.suppress(MeshtrailError):
            await self._restart_proxies(self._new, self._old)
            await roll_out(self._new.proxies, self._old.proxies, self._places)
        await self._fleet.stop(self._started, ENVOY_GRACE)

    async def _stop_removed(self) -> None:
        pods = [name for name in self._old.pods if name not in self._new.pods]
        proxies = [process_name(p) for name, p in self._old.proxies.items() if name not in self._new.proxies]
        if not pods and not proxies:
            return
        await asyncio.sleep(DRAIN)
        await self._fleet.stop(pods, max((self._old.pods[name].grace for name in pods), default=0.0))
        await asyncio.sleep(DRAIN)
        await self._fleet.stop(proxies, ENVOY_GRACE)


async def _all(steps: Iterable[Awaitable[None]]) -> None:
    """Let every step end, then raise the first error."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
