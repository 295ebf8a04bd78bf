"""Laying manifests over a running mesh, asking it, and seeing in the spans where requests went."""

from __future__ import annotations

import json
import re
import secrets
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from tests.e2e.shapes import GATEWAY, chain
from tests.support.mesh import ROOT, eventually

from meshtrail.local import control, state
from meshtrail.local.state import RunningMesh
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient

ECHO = "echo.meshtrail"
# Made once: it is what a client takes longest to make, and nothing here is encrypted.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
Object = dict[str, Any]


def istio(kind: str, name: str, **spec: Any) -> Object:
    meta = {"name": name, "namespace": "meshtrail"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def destination(host: str, subset: str = "", **more: Any) -> Object:
    """An entry of a VirtualService's `route`; `more` is its weight and headers."""
    return {"destination": {"host": host, **({"subset": subset} if subset else {})}, **more}


def at_gateway(name: str, *http: Object) -> Object:
    """Routes of the gateway for the host `<name>.example`."""
    return istio("VirtualService", name, hosts=[f"{name}.example"], gateways=["three-tier"], http=list(http))


def subsets(host: str, *versions: str, **policy: Any) -> Object:
    """A DestinationRule with a subset for each version."""
    labelled = [{"name": version, "labels": {"version": version}} for version in versions]
    return istio("DestinationRule", host, host=host, subsets=labelled, trafficPolicy=policy)


class Routing:
    """A mesh that a test changes and asks. Every request opens a connection of its own."""

    def __init__(self, mesh: RunningMesh) -> None:
        self.mesh = mesh

    def refresh(self) -> None:
        """Look where the gateway is now: another one may have taken its place."""
        self.mesh = state.load(self.mesh.name)

    def apply(self, *objects: Object | str) -> list[str]:
        """kubectl's lines. Text is YAML."""
        return self._send("/apply", objects)

    def delete(self, *objects: Object | str) -> list[str]:
        return self._send("/delete", objects)

    @contextmanager
    def laid_folders(self, *folders: str) -> Iterator[None]:
        """Kustomizations of the repository that hold for the `with` block, later ones over earlier ones."""
        self.folders("/apply", *folders)
        try:
            yield
        finally:
            self.folders("/delete", *folders)

    def folders(self, verb: str, *folders: str) -> None:
        """`/apply` or `/delete` kustomizations of the repository, as `-k` does."""
        documents = [{"name": folder, "path": str(ROOT / folder)} for folder in folders]
        control.call(self.mesh, "POST", verb, {"documents": documents})

    @contextmanager
    def laid(self, *objects: Object | str) -> Iterator[None]:
        """Objects that hold for the `with` block."""
        self.apply(*objects)
        try:
            yield
        finally:
            self.delete(*objects)

    def get(self, path: str = "/", *, host: str = "", method: str = "GET", **headers: str) -> httpx.Response:
        """The gateway's answer, redirects not followed; `_` in names of headers is `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if host:
            sent["host"] = f"{host}.example"
        with httpx.Client(trust_env=False, timeout=15, verify=NO_TLS) as client:
            return client.request(method, self.mesh.gateway + path, headers=sent)

    def pod(self, host: str, **headers: str) -> str:
        """The pod of echo that answered."""
        answer = self.get(host=host, **headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["pod"])

    def traced(self, spans: int, path: str = "/", **options: str) -> tuple[int, Trace]:
        """Ask once; the status, and the trace once it has `spans` spans (and a moment longer, for one too many)."""
        mark = secrets.token_hex(8)
        status = self.get(path, user_agent=mark, **options).status_code
        with JaegerClient(self.mesh.jaeger) as client:
            eventually(
                lambda: [t for t in client.find(GATEWAY, tags={"user_agent": mark}) if len(t.spans) >= spans],
                what=f"{spans} spans",
            )
            # Every Envoy hands its spans over after 100 ms.
            time.sleep(0.15)
            (trace,) = client.find(GATEWAY, tags={"user_agent": mark})
        assert len(trace.spans) == spans, chain(trace)
        return status, trace

    def trace(self, trace_id: str) -> Trace:
        with JaegerClient(self.mesh.jaeger) as client:
            found = client.trace(trace_id)
        assert found is not None
        return found

    def newest(self, since_us: int, done: Callable[[Trace], bool]) -> Trace:
        """The gateway's one trace since a moment for which `done` holds."""
        with JaegerClient(self.mesh.jaeger) as client:
            found = eventually(
                lambda: [trace for trace in client.find(GATEWAY, start_us=since_us) if done(trace)], what="a trace"
            )
        (trace,) = found
        return trace

    def received(self, service: str, since_us: int, number: int) -> list[Span]:
        """The server spans of a service since a moment, once there are `number`."""
        with JaegerClient(self.mesh.jaeger) as client:

            def look() -> list[Span]:
                traces = client.find(service, start_us=since_us, limit=1500)
                found = [s for t in traces for s in t.spans if (s.service, s.kind) == (service, "server")]
                return found if len(found) >= number else []

            return eventually(look, what=f"{number} spans of {service}")

    def counter(self, proxy: str, name: str) -> int:
        """One of an Envoy's statistics, 0 when nothing was counted yet."""
        socket = f"{self.mesh.run_folder}/{proxy}/admin.sock"
        with httpx.Client(transport=httpx.HTTPTransport(uds=socket, verify=NO_TLS)) as client:
            text = client.get("http://envoy/stats", params={"filter": f"^{re.escape(name)}$"}).text
        return int(text.rpartition(": ")[2] or 0)

    def tell(self, pod: str, path: str, text: str) -> None:
        """Ask a pod's process itself, past every proxy."""
        address = next(process.address for process in self.mesh.processes if process.name == pod)
        httpx.put(f"http://{address}{path}", content=text, trust_env=False).raise_for_status()

    def _send(self, path: str, objects: tuple[Object | str, ...]) -> list[str]:
        texts = [item if isinstance(item, str) else json.dumps(item) for item in objects]
        documents = [{"name": f"{number}.yaml", "text": text} for number, text in enumerate(texts)]
        return list(control.call(self.mesh, "POST", path, {"documents": documents})["changes"])


def now_us() -> int:
    return time.time_ns() // 1000


def versions(spans: list[Span]) -> Counter[str]:
    return Counter(str(span.tags["istio.canonical_revision"]) for span in spans)


def pod_of(span: Span) -> str:
    """The pod whose sidecar made a span."""
    return str(span.tags["node_id"]).split("~")[2].split(".")[0]


def only(trace: Trace, service: str, kind: str) -> Span:
    """The one span of that service and kind."""
    (found,) = [span for span in trace.spans if (span.service, span.kind) == (service, kind)]
    return found
