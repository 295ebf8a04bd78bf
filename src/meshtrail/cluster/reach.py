"""How a Service is reached from this machine: its load balancer, a node's port, else a port-forward."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from meshtrail.cluster import objects
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.snapshot import Snapshot

MOST_NODES = 3
LOCAL_CONTEXTS = ("kind-", "k3d-", "minikube", "docker-desktop", "rancher-desktop", "colima", "orbstack")


@dataclass(frozen=True, slots=True)
class Reached:
    """`url` works from this machine; `via` says how it gets there, `service` is `namespace/name`."""

    url: str
    via: str
    service: str


@dataclass(frozen=True, slots=True)
class Candidate:
    url: str
    via: str


def direct_addresses(snapshot: Snapshot, service: Object, port: int) -> tuple[Candidate, ...]:
    """Where a Service's port may answer without a port-forward, the best first; `port` is the Service's."""
    entry: Object = next((one for one in dig(service, "spec", "ports", default=[]) if one["port"] == port), {})
    found = [
        Candidate(f"http://{_bracketed(str(one.get('ip') or one['hostname']))}:{port}", "load balancer")
        for one in dig(service, "status", "loadBalancer", "ingress", default=[])
        if one.get("ip") or one.get("hostname")
    ]
    node_port = entry.get("nodePort")
    if node_port:
        for kind in ("InternalIP", "ExternalIP"):
            for address in _node_addresses(snapshot.of("Node")[:MOST_NODES], kind):
                found.append(Candidate(f"http://{_bracketed(address)}:{node_port}", "node port"))
        # Only where the cluster is on this machine: else another cluster's port may be mapped there.
        if is_local(snapshot.context, snapshot.server):
            found.append(Candidate(f"http://127.0.0.1:{node_port}", "node port, mapped to this machine"))
    return tuple(dict.fromkeys(found))


def first_answering(candidates: Iterable[Candidate], answers: Callable[[str], bool]) -> Candidate | None:
    """The best candidate that answers; all are asked at once."""
    asked = list(candidates)
    if not asked:
        return None
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        results = list(pool.map(lambda one: answers(one.url), asked))
    return next((one for one, good in zip(asked, results, strict=True) if good), None)


def is_local(context: str, server: str) -> bool:
    """Whether the cluster runs on this machine: kind and its like publish the API server on loopback."""
    host = urlsplit(server).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost" or host.endswith(".internal")
    return loopback or context.startswith(LOCAL_CONTEXTS)


def forward_command(snapshot: Snapshot, service: Object, port: int) -> str:
    """The port-forward that a person types to reach it."""
    place, name = objects.namespace(service), objects.name(service)
    local = port if port >= 1024 else 8000 + port
    return f"kubectl --context {snapshot.context} -n {place} port-forward svc/{name} {local}:{port}"


def _node_addresses(nodes: Iterable[Object], kind: str) -> Iterator[str]:
    for node in nodes:
        for address in dig(node, "status", "addresses", default=[]):
            if address.get("type") == kind:
                yield str(address["address"])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
