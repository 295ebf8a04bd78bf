"""The application is in the traces again; and what a mend that did not help has changed.

What is broken is for the participant to find, so an untouched breakage is not named here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from meshtrail.exercises import Room, Said, done, missing, wrong
from meshtrail.model.request import Request, group_requests

COUNT = 3
PATIENCE_S = 1.5
"""The gateway's spans may be there before the sidecars'."""

ROOT = "istio-system"
GATEWAY = "istio-ingressgateway.istio-system"
HTTP_PORTS = ("http", "http2", "grpc")

Object = Mapping[str, Any]


def check(room: Room) -> Iterator[Said]:
    answers = room.send(COUNT)
    failed = [answer for answer in answers if answer.status != 200]
    if failed:
        yield wrong("requests-fail", status=failed[0].status or failed[0].error)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        requests = room.requests(answers)
        if len(requests) == COUNT and all(_is_whole(request, room.services) for request in requests):
            yield done("application-traced", sent=COUNT, trace=requests[0].traces[0].trace_id)
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    # Behind a gateway that many share, what has no span of the application is found by its mark alone.
    yield _seen(room, requests or group_requests(room.jaeger.find(GATEWAY, tags={"user_agent": answers[-1].mark})))
    yield from _turns(room)


def _is_whole(request: Request, services: Sequence[str]) -> bool:
    return request.complete and set(services) <= {span.app for span in request.traces[0].spans}


def _seen(room: Room, requests: Sequence[Request]) -> Said:
    apps = {span.app for request in requests for trace in request.traces for span in trace.spans}
    silent = [name for name in room.services if name not in apps]
    if not requests:
        return missing("nothing-at-all", sent=COUNT)
    if len(silent) == len(room.services):
        return missing("gateway-only", sent=COUNT, trace=requests[0].traces[0].trace_id)
    if silent:
        return missing("services-silent", services=silent, sent=COUNT)
    return missing("traces-broken", sent=COUNT, pieces=sum(len(request.traces) for request in requests))


def _turns(room: Room) -> Iterator[Said]:
    """What was changed and does not help."""
    labels = (room.object("Namespace", room.namespace) or {}).get("metadata", {}).get("labels") or {}
    if room.target == "cluster" and labels.get("istio-injection") == "enabled":
        alone = [pod["metadata"]["name"] for pod in room.objects("Pod") if _without_sidecar(pod, room.namespace)]
        if alone:
            yield wrong("restart-missing", pods=alone)
    ports = {name: _port(room, name) for name in room.services}
    tcp = [name for name, port in ports.items() if port.partition("-")[0] not in HTTP_PORTS]
    if tcp and len(tcp) < len(ports):
        yield wrong("ports-left", services=tcp, names=[ports[name] for name in tcp])
    yield from _telemetry(room)
    collector = room.object("Service", "otel-collector", ROOT) or {}
    for port in collector.get("spec", {}).get("ports", []):
        if port["port"] == 4317 and str(port.get("name", "")).startswith("http"):
            yield wrong("collector-http", name=port["name"])


def _telemetry(room: Room) -> Iterator[Said]:
    """A Telemetry of the namespace whose word is not asked for, or is another one than the gateway's."""
    gateway = _providers(room, ROOT)
    for telemetry in room.objects("Telemetry"):
        if telemetry["metadata"].get("namespace") != room.namespace:
            continue
        for tracing in telemetry.get("spec", {}).get("tracing", []):
            named = [str(provider["name"]) for provider in tracing.get("providers", [])[:1]]
            shared = [_formats(room, name) & _formats(room, other) for name in named for other in gateway]
            if shared and not any(shared) and _formats(room, named[0]):
                yield wrong("provider-other-format", provider=named[0], gateway=gateway[0])
            share = tracing.get("randomSamplingPercentage")
            if share and not named:
                yield wrong("sampling-not-it", share=share, name=telemetry["metadata"]["name"])


def _without_sidecar(pod: Object, namespace: str) -> bool:
    spec = pod["spec"]
    names = [one["name"] for one in (*spec["containers"], *spec.get("initContainers", []))]
    leaving = "deletionTimestamp" in pod["metadata"]
    return pod["metadata"]["namespace"] == namespace and "istio-proxy" not in names and not leaving


def _port(room: Room, service: str) -> str:
    """The name of a Service's first port."""
    ports = (room.object("Service", service) or {}).get("spec", {}).get("ports", [])
    return str(ports[0].get("name", "")) if ports else ""


def _providers(room: Room, namespace: str) -> list[str]:
    """What the Telemetries that hold for a whole namespace name first."""
    return [
        str(tracing["providers"][0]["name"])
        for telemetry in room.objects("Telemetry")
        if telemetry["metadata"].get("namespace") == namespace and not telemetry.get("spec", {}).get("selector")
        for tracing in telemetry.get("spec", {}).get("tracing", [])
        if tracing.get("providers")
    ]


def _formats(room: Room, provider: str) -> frozenset[str]:
    """What the tracer behind a provider reads, by the mesh's configuration; none of one that is not there."""
    config = room.object("ConfigMap", "istio", ROOT) or {}
    known = (yaml.safe_load(config.get("data", {}).get("mesh", "")) or {}).get("extensionProviders", [])
    found: Object = next((entry for entry in known if entry.get("name") == provider), {})
    if "zipkin" not in found:
        return frozenset({"w3c"} if found else ())
    both = found["zipkin"].get("traceContextOption") == "USE_B3_WITH_W3C_PROPAGATION"
    return frozenset({"b3", "w3c"} if both else {"b3"})
