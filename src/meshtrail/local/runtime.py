"""A mesh on this machine, from start to end. Everything else in this package is a part that this one puts in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from meshtrail.errors import MeshtrailError, Warnings
from meshtrail.local import handlers, logs, state
from meshtrail.local.control import ControlServer
from meshtrail.local.desired import AddressBook, Desired, desired
from meshtrail.local.envoy_files import RejectedError
from meshtrail.local.fleet import ENVOY_GRACE, STORE, STORE_GRACE, Fleet, envoy_path
from meshtrail.local.guard import ShellGuard, wants_shell_guard
from meshtrail.local.journal import Journal
from meshtrail.local.options import WELL_KNOWN, MeshOptions
from meshtrail.local.ports import LOOPBACK, BusyPortsError, Ports
from meshtrail.local.process import Spawner
from meshtrail.local.rollout import Places, admin, closed, roll_out, write_all
from meshtrail.local.sources import Source, read_source
from meshtrail.local.switch import Switch
from meshtrail.local.transition import Transition
from meshtrail.local.watch import Watcher
from meshtrail.manifests import Manifests

# Envoy hands spans over every 0.1 s and does not when it ends.
SPANS_LEAVE = 0.25
REQUESTS_END_WITHIN = 10.0
LOG_CHECK_EVERY = 5.0


class LocalMesh:
    """Start it from the main thread: `async with LocalMesh.running(options) as mesh`.

    `on_event` gets one sentence for everything that happens by itself (a restart, a reload, a refused edit).
    """

    def __init__(self, options: MeshOptions, *, on_event: Callable[[str], None] = lambda _: None) -> None:
        self.options = options
        self.folder = state.open_folder(options.name)
        self.lenient = options.lenient
        self.switch = Switch()
        self.stop_requested = asyncio.Event()
        self.changing = asyncio.Lock()
        self.problems: tuple[str, ...] = ()
        self.reloads = 0
        self.source = Source(Manifests(), Manifests())
        self.current: Desired | None = None
        self._journal = Journal(self.folder.logs / "meshtrail.log", on_event)
        self._ports = Ports()
        self._book: AddressBook | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._open = False

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, options: MeshOptions, *, on_event: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[LocalMesh]:
        mesh = cls(options, on_event=on_event)
        await mesh.start()
        try:
            yield mesh
        finally:
            await mesh.stop()

    async def start(self) -> None:
        """Returns when the gateway takes requests. Raises MeshtrailError; then nothing is left behind."""
        self.folder.acquire()
        try:
            self._prepare()
            await self._start()
        except BaseException:
            await self._clean_up()
            raise

    async def stop(self) -> None:
        """In order: no new requests, those under way end, spans leave, everything ends, nothing is left behind."""
        async with self.changing:
            self._watcher.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            with contextlib.suppress(RejectedError, OSError):
                await self._close_gateway()
            grace = max((pod.grace for pod in self.current.pods.values()), default=0.0) if self.current else 0.0
            await self.fleet.stop(self.fleet.of("service"), grace)
            await asyncio.sleep(SPANS_LEAVE)
            await self._clean_up()

    async def change_to(self, manifests: Manifests, *, lenient: bool = False) -> Desired:
        """Make `manifests` what runs. Call it with `changing` held. Raises MeshtrailError; then all is as before.

        What was taken leniently once is taken leniently from then on: it is still among the objects.
        """
        assert self.current is not None
        assert self._book is not None
        old = self.current
        new = self._desired(manifests, lenient or self.lenient)
        known = self.switch.manifests_changed(old.pods, new.pods)
        step = Transition(
            self.fleet, old, new, places=self.places, envoy=self._envoy, program_of=self.switch.program_of
        )
        try:
            await step.run()
        except MeshtrailError:
            self.switch.restore(known)
            self._book.forget(old.addresses)
            raise
        self.current = new
        self.lenient = lenient or self.lenient
        self._book.forget(new.addresses)
        self.reloads += 1
        self.write_state()
        return new

    def say(self, event: str, sentence: str) -> None:
        self._journal.write(event, sentence)

    def status(self) -> state.RunningMesh:
        addresses = self._store_addresses
        gateway = next(iter(self.current.addresses.gateways.values()), None) if self.current else None
        return state.RunningMesh(
            name=self.options.name,
            application=self.options.application,
            pid=os.getpid(),
            gateway=f"http://{gateway}" if gateway else "",
            jaeger=f"http://{addresses['query']}",
            otlp_http=f"http://{addresses['otlp_http']}",
            zipkin=f"http://{addresses['zipkin']}",
            otlp_grpc=str(addresses["otlp_grpc"]),
            control=str(self.run_folder / "control.sock"),
            run_folder=str(self.run_folder),
            logs=str(self.folder.logs),
            ready=self._open and all(p.state == "ready" for p in self.fleet.processes.values()),
            started=self._started,
            processes=tuple(process.info() for process in self.fleet.processes.values()),
            problems=self.problems,
            reloads=self.reloads,
            warnings=self.current.warnings if self.current else (),
        )

    def write_state(self) -> None:
        self.folder.write(self.status())

    # ------------------------------------------------------------------------------------------------ start

    def _prepare(self) -> None:
        from meshtrail.envoy.addresses import Endpoint

        self._envoy = envoy_path()
        self._started = state.started_at(os.getpid())
        logs.rotate(self._journal.path)
        self._journal.path.touch()  # for whoever follows it before there is an event
        taken = self._ports.claim(self.options.fixed_ports())
        ports = {name: taken.get(name) or self._ports.free() for name in WELL_KNOWN if name != "gateway"}
        self._store_addresses = {name: Endpoint(LOOPBACK, port) for name, port in ports.items()}
        self._book = AddressBook(self._ports, self._store_addresses, taken.get("gateway"))
        self.run_folder = _make_run_folder()
        self.places = Places(self.run_folder, self.folder.logs)
        self._guard = ShellGuard() if wants_shell_guard() else None
        self.fleet = Fleet(
            self.places,
            Spawner(self._guard),
            changed=self.write_state,
            on_restart=lambda sentence: self.say("restart", sentence),
        )

    async def _start(self) -> None:
        self._ports.before_start()
        # The store needs nothing of the manifests: it starts while they are read.
        self.fleet.start_store(self._store_addresses, self.options.store_file)
        await asyncio.sleep(0)
        warnings = Warnings()
        self.source = read_source(self.options, warnings)
        new = self._desired(self.source.manifests, self.options.lenient, warnings)
        for pod in new.pods.values():
            self.fleet.start_pod(pod, pod.program, new.mesh.config_maps)
        await asyncio.sleep(0)
        gateways = {name: proxy for name, proxy in new.proxies.items() if proxy.kind == "gateway"}
        for name, proxy in new.proxies.items():
            write_all(closed(proxy) if name in gateways else proxy, self.run_folder)
            self.fleet.start_proxy(proxy, new.addresses, self._envoy)
        self.current = new
        await self.fleet.wait_ready(self.fleet.processes)
        control = ControlServer(
            self.run_folder / "control.sock",
            handlers.handlers(self),
            on_defect=lambda error: self.say("defect", "".join(traceback.format_exception(error)).rstrip()),
        )
        await control.start()
        self._control = control
        await self._open_gateway(gateways)
        self._watcher = Watcher(self.source.manifests.files())
        self._tasks = [
            asyncio.create_task(handlers.follow_files(self, self._watcher)),
            asyncio.create_task(self._bound_logs()),
        ]
        self.write_state()

    async def _open_gateway(self, gateways: dict[str, Any]) -> None:
        try:
            await roll_out({name: closed(proxy) for name, proxy in gateways.items()}, gateways, self.places)
        except RejectedError as error:
            fixed = self.options.fixed_ports().get("gateway")
            if fixed and "ddress already in use" in str(error):
                raise BusyPortsError([fixed]) from None
            raise
        self._open = True

    def _desired(self, manifests: Manifests, lenient: bool, warnings: Warnings | None = None) -> Desired:
        assert self._book is not None
        return desired(
            manifests,
            self._book,
            root=Path(self.options.root),
            run_folder=self.run_folder,
            lenient=lenient,
            warnings=warnings or Warnings(),
        )

    # -------------------------------------------------------------------------------------------------- end

    async def _close_gateway(self) -> None:
        if self.current is None or not self._open:
            return
        self._open = False
        gateways = {name: proxy for name, proxy in self.current.proxies.items() if proxy.kind == "gateway"}
        await roll_out(gateways, {name: closed(proxy) for name, proxy in gateways.items()}, self.places)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REQUESTS_END_WITHIN):
                for proxy in gateways.values():
                    while await admin(self.places, proxy).requests_in_flight():  # noqa: ASYNC110 - Envoy tells when asked
                        await asyncio.sleep(0.02)

    async def _clean_up(self) -> None:
        if hasattr(self, "_control"):
            await self._control.close()
        if hasattr(self, "fleet"):
            await self.fleet.stop(self.fleet.of("service"), ENVOY_GRACE)
            await self.fleet.stop(self.fleet.of("sidecar", "gateway"), ENVOY_GRACE)
            await self.fleet.stop([STORE], STORE_GRACE)
            if self._guard:
                self._guard.close()
            shutil.rmtree(self.run_folder, ignore_errors=True)
        self._ports.close()
        self.folder.release()

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_EVERY)
            self.fleet.bound_logs()


def _make_run_folder() -> Path:
    """A folder of our own with a path short enough for unix sockets."""
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix=state.RUN_FOLDER_PREFIX, dir=base if len(base) <= 40 else "/tmp"))  # noqa: S108
