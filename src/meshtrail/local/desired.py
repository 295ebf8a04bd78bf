"""From manifests to everything that shall run: pure but for the ports that are taken for new addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshtrail.envoy import ProxyConfig, generate
from meshtrail.envoy.addresses import Addresses, Endpoint, Pod, Required, environment, required
from meshtrail.errors import MeshtrailError, Warnings
from meshtrail.local.ports import LOOPBACK, Ports
from meshtrail.local.process import Program
from meshtrail.local.programs import service_program
from meshtrail.manifests import Manifests
from meshtrail.manifests.kinds import Container, Deployment
from meshtrail.mesh import Mesh, build
from meshtrail.mesh.model import container_port

CONTROL_PORT = 8090
# Linux takes 107 bytes, macOS 103.
SOCKET_PATH_MAX = 100


@dataclass(frozen=True, slots=True)
class Probe:
    """How to tell that a service is ready: GET `path`, or with an empty path only connect."""

    endpoint: Endpoint
    path: str


@dataclass(frozen=True, slots=True)
class DesiredPod:
    """`probe` None: nothing to ask, ready at once. `control` is where its propagation switch listens, if it has one.
    `grace` is in seconds."""

    pod: Pod
    deployment: Deployment
    program: Program
    address: Endpoint | None
    probe: Probe | None
    control: Endpoint | None
    grace: float


@dataclass(frozen=True, slots=True)
class Desired:
    """One consistent state of the whole mesh."""

    manifests: Manifests
    mesh: Mesh
    addresses: Addresses
    proxies: Mapping[str, ProxyConfig]
    pods: Mapping[str, DesiredPod]
    warnings: tuple[str, ...]


class AddressBook:
    """Addresses given out so far: what stays in the mesh keeps its address."""

    def __init__(self, ports: Ports, store: Mapping[str, Endpoint], gateway_port: int | None) -> None:
        self._ports = ports
        self._store = store
        self._fixed = self._gateway_port = gateway_port
        self._known: dict[tuple[object, ...], Endpoint] = {}

    def addresses(self, needed: Required) -> Addresses:
        return Addresses(
            pods=needed.pods,
            app={key: self._of("app", key) for key in needed.app},
            inbound={key: self._of("inbound", key) for key in needed.inbound},
            outbound={key: self._of("outbound", key) for key in needed.outbound},
            gateways={key: self._of("gateway", key) for key in needed.gateways},
            store=self._store,
        )

    def forget(self, current: Addresses) -> None:
        """Give back the ports of what is not in the mesh any more; the next gateway gets the one that was asked for."""
        kept = {
            *(("app", *key) for key in current.app),
            *(("inbound", *key) for key in current.inbound),
            *(("outbound", *key) for key in current.outbound),
            *(("gateway", *key) for key in current.gateways),
        }
        for key in [key for key in self._known if key not in kept]:
            port = self._known.pop(key).port
            if port == self._fixed:
                self._gateway_port = port
            else:
                self._ports.release(port)

    def _of(self, part: str, key: tuple[object, ...]) -> Endpoint:
        found = self._known.get((part, *key))
        if found is None:
            port = None
            if part == "gateway":
                port, self._gateway_port = self._gateway_port, None
            found = self._known[(part, *key)] = Endpoint(LOOPBACK, port or self._ports.free())
        return found


def desired(
    manifests: Manifests, book: AddressBook, *, root: Path, run_folder: Path, lenient: bool, warnings: Warnings
) -> Desired:
    """Raises ManifestError for what cannot be carried out; then nothing has changed."""
    mesh = build(manifests, lenient=lenient, warnings=warnings)
    addresses = book.addresses(required(mesh))
    for pod in addresses.pods:
        if len(str(run_folder / pod.name / "admin.sock")) > SOCKET_PATH_MAX:
            raise MeshtrailError(
                f"the name of Deployment {'/'.join(pod.workload_key)} is too long for a socket in {run_folder}",
                mend="shorten it, or set TMPDIR to a shorter folder",
            )
    return Desired(
        manifests=manifests,
        mesh=mesh,
        addresses=addresses,
        proxies=generate(mesh, addresses, run_dir=run_folder),
        pods={pod.name: _pod(mesh, pod, addresses, root, run_folder) for pod in addresses.pods},
        warnings=tuple(str(problem) for problem in warnings.problems),
    )


def _pod(mesh: Mesh, pod: Pod, addresses: Addresses, root: Path, run_folder: Path) -> DesiredPod:
    workload = mesh.workloads[pod.workload_key]
    deployment = workload.deployment
    program = service_program(
        deployment,
        environment(mesh, pod, addresses),
        mesh.config_maps,
        root=root,
        folder=pod_folder(run_folder, pod.name),
    )
    served = [port for port in workload.ports if port != CONTROL_PORT]
    address = addresses.app[(pod.name, served[0])] if served else None
    return DesiredPod(
        pod=pod,
        deployment=deployment,
        program=program,
        address=address,
        probe=_probe(deployment.containers[0], deployment, pod.name, addresses, address),
        control=addresses.app.get((pod.name, CONTROL_PORT)),
        grace=min(deployment.grace_seconds, 10.0),
    )


def _probe(
    container: Container, deployment: Deployment, pod: str, addresses: Addresses, address: Endpoint | None
) -> Probe | None:
    http = container.readiness or container.startup or container.liveness
    if http is not None:
        number = container_port(deployment, http.port)
        endpoint = addresses.app.get((pod, number)) if number is not None else None
        if endpoint is not None:
            return Probe(endpoint, http.path)
    return Probe(address, "") if address else None


def pod_folder(run_folder: Path, pod: str) -> Path:
    """Where a pod's volumes lie, beside the folders of the proxies."""
    return run_folder / "pods" / pod
