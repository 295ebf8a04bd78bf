"""Applications on a cluster (the one that kubectl points at), each in a namespace and under a host of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from meshtrail.cluster.session import Where, opened

ROOT = Path(__file__).parents[1]
Object = dict[str, Any]


def kubectl(*arguments: str, input: str | None = None, timeout: float = 200) -> str:
    done = subprocess.run(
        ["kubectl", *arguments], input=input, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False
    )
    if done.returncode:
        raise SystemExit(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def deployed(namespace: str, workloads: str, *, injection: bool, extra: list[Object]) -> Iterator[str]:
    """The workloads of a kustomization, ready, in `namespace` (made and deleted); the host under which they answer."""
    host = f"{namespace}.test"
    objects = [one for one in yaml.safe_load_all(kubectl("kustomize", workloads)) if one]
    for one in objects:
        if one["kind"] == "Namespace":
            one["metadata"]["name"] = namespace
            one["metadata"]["labels"]["istio-injection"] = "enabled" if injection else "disabled"
        else:
            one["metadata"]["namespace"] = namespace
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all([*objects, *entrance(namespace, host), *extra]))
    try:
        kubectl("-n", namespace, "wait", "--for=condition=Available", "deployment", "--all", "--timeout=180s")
        yield host
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


def entrance(namespace: str, host: str) -> list[Object]:
    """Gateway and VirtualService that lead `host` to frontend."""
    meta = {"name": "bench", "namespace": namespace}
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    api = "networking.istio.io/v1"
    gateway = {"selector": {"istio": "ingressgateway"}, "servers": [{"port": port, "hosts": [host]}]}
    route = {"route": [{"destination": {"host": "frontend", "port": {"number": 3000}}}]}
    return [
        {"apiVersion": api, "kind": "Gateway", "metadata": meta, "spec": gateway},
        {
            "apiVersion": api,
            "kind": "VirtualService",
            "metadata": meta,
            "spec": {"hosts": [host], "gateways": ["bench"], "http": [route]},
        },
    ]


def gateway_url(namespace: str) -> str:
    """Where the gateway of `namespace` answers without a port-forward, which would cost more than what is measured."""
    with opened(Where(namespace=namespace)) as session:
        reached = session.gateway().reached
        if reached.via == "port-forward":
            raise SystemExit("the gateway has no address that answers from here: a port-forward is no way to measure")
        return reached.url


def sidecar_memory_mb(namespace: str) -> list[float]:
    """Working set of each istio-proxy container in MB (10^6 bytes), from the metrics API."""
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"
    units = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
    found = []
    for pod in json.loads(kubectl("get", "--raw", path))["items"]:
        for container in pod["containers"]:
            if container["name"] == "istio-proxy":
                text = container["usage"]["memory"]
                found.append(int(text[:-2]) * units[text[-2:]] / 1e6 if text[-2:] in units else int(text) / 1e6)
    return found
