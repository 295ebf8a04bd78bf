"""A cluster for tests: kubectl, a namespace of one's own, the application in it, its gateway and its Jaeger.

Every deployment gets a namespace with a name of its own, and the gateway tells them apart by host `<namespace>.test`,
so that tests disturb neither each other nor an application that is there already.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.support.absent import absent
from tests.support.documents import documents
from tests.support.mesh import ROOT, eventually

from meshtrail.cluster.session import Where, opened
from meshtrail.load.target import Target
from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient, JaegerError

EVERYTHING = os.environ.get("MESHTRAIL_EVERYTHING") == "1"
"""`make test-cluster-all`."""
GATEWAY = "istio-ingressgateway.istio-system"
OVERLAY = "meshtrail"  # the namespace that the overlays name
Object = dict[str, Any]


def kubectl(*arguments: str, input: str | None = None, status: int | None = 0, timeout: float = 60) -> str:
    """Run kubectl; what it wrote to standard output, with standard error behind it. `status` None: any exit status."""
    done = run(*arguments, input=input, timeout=timeout)
    if status is not None:
        assert done.returncode == status, (
            f"kubectl {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout if status == 0 else done.stdout + done.stderr


def run(*arguments: str, input: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """The same, with exit status and both outputs."""
    return subprocess.run(
        ["kubectl", *arguments], input=input, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False
    )


def get(*arguments: str) -> Any:
    """`kubectl get ... -o json`, parsed."""
    return json.loads(kubectl("get", *arguments, "-o", "json"))


@cache
def require_cluster() -> None:
    """A cluster with Istio and Jaeger, traced at 100 %; skips the test without one, fails it when CI=true."""
    try:
        ready = run("get", "--raw", "/readyz", "--request-timeout=5s")
    except FileNotFoundError:
        absent("no kubectl on the PATH")
    if ready.returncode:
        absent("kubectl reaches no cluster: " + "".join(ready.stderr.strip().splitlines()[-1:]))
    for what, name in (
        ("Istio", "deployment/istiod"),
        ("Jaeger", "service/tracing"),
        ("Jaeger", "service/jaeger-collector"),
    ):
        if run("-n", "istio-system", "get", name).returncode:
            absent(f"no {what} in the cluster: {name} is not in namespace istio-system")
    kubectl("apply", "-k", "istio/mesh")


@cache
def gateway_address() -> tuple[str, int]:
    """Where the ingress gateway is reached: MESHTRAIL_GATEWAY (host:port), its LoadBalancer, or a node's port."""
    require_cluster()
    named = os.environ.get("MESHTRAIL_GATEWAY")
    if named:
        host, _, port = named.rpartition(":")
        return host, int(port)
    for address, health in _gateway_candidates():
        # Nothing listens on port 80 before the first Gateway is there; the gateway's own health does.
        if _answers(*health) or _answers(*address):
            return address
    return absent("no address of the ingress gateway answers: set MESHTRAIL_GATEWAY=HOST:PORT (kubectl port-forward)")


def _gateway_candidates() -> Iterator[tuple[tuple[str, int], tuple[str, int]]]:
    """Where requests go, and where the gateway's health is asked."""
    service = get("service", "istio-ingressgateway", "-n", "istio-system")
    for one in service["status"]["loadBalancer"].get("ingress") or []:
        host = one.get("ip") or one["hostname"]
        yield (host, 80), (host, 15021)
    ports = {one["port"]: one.get("nodePort") for one in service["spec"]["ports"]}
    if ports[80]:
        for node in get("nodes")["items"]:
            for address in node["status"]["addresses"]:
                if address["type"] == "InternalIP":
                    yield (address["address"], ports[80]), (address["address"], ports[15021])


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


@contextmanager
def forwarded(namespace: str, target: str, port: int) -> Iterator[int]:
    """`kubectl port-forward`: the port of this machine that leads to `target` (service/name, pod/name)."""
    command = ["kubectl", "-n", namespace, "port-forward", "--address=127.0.0.1", target, f":{port}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, line + process.stdout.read()
        # kubectl writes a line for each connection, and stands still once nobody reads them.
        reader = threading.Thread(target=process.stdout.read)
        reader.start()
        try:
            yield int(found[1])
        finally:
            process.terminate()
            reader.join()
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def jaeger_url() -> Iterator[str]:
    """Jaeger's query address: MESHTRAIL_JAEGER, or a port-forward to service `tracing`, with its base path."""
    require_cluster()
    named = os.environ.get("MESHTRAIL_JAEGER")
    if named:
        yield named.rstrip("/")
        return
    # A port-forward that is opened again when Jaeger's pod is replaced.
    with opened(Where(), application_needed=False) as session:
        yield session.jaeger().url


def build(kustomization: str | Path) -> list[Object]:
    """The objects of a kustomization, relative to the repository, as kubectl builds it."""
    return documents(kubectl("kustomize", str(kustomization)))


def relocate(objects: Sequence[Object], namespace: str, *, source: str = OVERLAY) -> list[Object]:
    """The same objects in another namespace, reached under the host `<namespace>.test`.

    Objects of other namespaces (the mesh-wide ones, in istio-system) are left out: they belong to the whole cluster.
    """
    moved = []
    for original in objects:
        one = json.loads(json.dumps(original))
        meta, spec = one["metadata"], one.get("spec", {})
        if one["kind"] == "Namespace":
            meta["name"] = namespace
        elif meta.get("namespace", source) == source:
            meta["namespace"] = namespace
        else:
            continue
        if one["kind"] == "Gateway" and one["apiVersion"].startswith("networking.istio.io/"):
            for server in spec["servers"]:
                server["hosts"] = [host_of(namespace)]
        elif one["kind"] in ("VirtualService", "HTTPRoute") and spec.get("hosts", spec.get("hostnames")) == ["*"]:
            spec["hosts"] = [host_of(namespace)]
        moved.append(one)
    return moved


def host_of(namespace: str) -> str:
    return f"{namespace}.test"


def apply(*objects: Object) -> None:
    """`kubectl apply`: namespaces first, in one go."""
    ordered = sorted(objects, key=lambda one: one["kind"] != "Namespace")
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all(ordered))


@contextmanager
def namespace(prefix: str = "mt-test", **labels: str) -> Iterator[str]:
    """A name that no other test has, for a namespace that is deleted afterwards; made at once when labels are given."""
    require_cluster()
    name = f"{prefix}-{secrets.token_hex(3)}"
    try:
        if labels:
            meta = {"name": name, "labels": {key.replace("_", "-"): value for key, value in labels.items()}}
            apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        yield name
    finally:
        kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


@dataclass(frozen=True, slots=True)
class Application:
    """three-tier in a namespace, behind a gateway at `address`; `gateway` is its name in traces."""

    namespace: str
    address: tuple[str, int]
    gateway: str = GATEWAY

    @property
    def host(self) -> str:
        return host_of(self.namespace)

    def kubectl(self, *arguments: str, input: str | None = None, status: int | None = 0, timeout: float = 60) -> str:
        return kubectl("-n", self.namespace, *arguments, input=input, status=status, timeout=timeout)

    def get(self, path: str = "/", *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """One request through the gateway, on a connection of its own."""
        host, port = self.address
        with httpx.Client(trust_env=False, timeout=15) as client:
            return client.get(f"http://{host}:{port}{path}", headers={"host": self.host, **(headers or {})})

    def answers(self) -> bool:
        """Whether a request gets through to the database and back."""
        try:
            return self.get().status_code == 200
        except httpx.TransportError:
            return False

    def target(self, path: str = "/") -> Target:
        """For meshtrail.load."""
        host, port = self.address
        return Target("http", self.host, self.host, host, port, path)

    def chain(self, *services: str) -> list[tuple[str, str]]:
        """Service and kind of each span of one plain request; the services are frontend, backend, database."""
        names = [self.gateway, *(f"{one}.{self.namespace}" for one in services or ("frontend", "backend", "database"))]
        return [(name, kind) for name in names for kind in ("server", "client")][:-1]

    def trace(self, jaeger: str, expected: list[tuple[str, str]] | None = None, *, within: float = 30.0) -> Trace:
        """The trace of a request, once one has the expected shape.

        Asks again while it does not: connections that were open before a change keep their old configuration for
        up to 45 s.
        """
        expected = expected or self.chain()
        return self.trace_when(jaeger, lambda trace: shape(trace) == expected and trace.complete, within=within)

    def trace_when(
        self, jaeger: str, done: Callable[[Trace], bool], *, within: float = 30.0, status: int = 200
    ) -> Trace:
        """The trace of a request with this status for which `done` holds; AssertionError with what was seen if not."""
        seen: object = None
        deadline = time.monotonic() + within
        with JaegerClient(jaeger) as client:
            while time.monotonic() < deadline:
                mark = f"meshtrail-test/{secrets.token_hex(8)}"
                answer = self.get(headers={"user-agent": mark})
                seen = answer.status_code, answer.text
                # A sidecar keeps its spans for 5 s at most.
                patience = time.monotonic() + 8
                while answer.status_code == status and time.monotonic() < patience:
                    try:
                        found = client.find(self.gateway, tags={"user_agent": mark})
                    except JaegerError as error:  # a port-forward that is started again
                        found, seen = (), error
                    else:
                        seen = [shape(trace) for trace in found]
                    if len(found) == 1 and done(found[0]):
                        return found[0]
                    time.sleep(0.2)
                time.sleep(0.2)
        raise AssertionError(seen)


def shape(trace: Trace) -> list[tuple[str, str]]:
    """Service and kind of each span, parents before children."""
    return [(node.span.service, node.span.kind) for node in trace.walk()]


@contextmanager
def deployed(
    *kustomizations: str | Path, change: Callable[[list[Object]], list[Object]] = list, timeout_s: int = 150
) -> Iterator[Application]:
    """The application of kustomizations in a namespace of its own, ready, and answering; deleted afterwards.

    `change` may edit the objects before they are applied, and add some: in the namespace of the overlays, or in none.
    """
    address = gateway_address()
    with namespace() as name:
        objects = [one for kustomization in kustomizations for one in build(kustomization)]
        apply(*relocate(change(objects), name))
        wait_ready(name, timeout_s=timeout_s)
        application = Application(name, address)
        # istiod tells the gateway about the routes a moment after the pods are ready.
        eventually(application.answers, within=30, what=f"{application.host} answers: {name}")
        yield application


def wait_ready(name: str, *, timeout_s: int = 150) -> None:
    """Until every Deployment and StatefulSet of a namespace is rolled out; AssertionError with its pods otherwise."""
    for one in kubectl("-n", name, "get", "statefulsets,deployments", "-o", "name").split():
        done = run("-n", name, "rollout", "status", one, f"--timeout={timeout_s}s", timeout=timeout_s + 10)
        assert done.returncode == 0, f"{done.stderr}\n{kubectl('-n', name, 'describe', 'pods')[-6000:]}"
