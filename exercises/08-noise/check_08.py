"""Health checks leave no trace, everything else does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from meshtrail.exercises import Room, Said, done, missing, wrong
from meshtrail.model.request import Request

PROBE = "/healthz"
# Enough to see; each is a request that the mesh has to answer.
COUNT = 3
TRACING_HEADERS = frozenset({"x-request-id", "b3", "traceparent", "tracestate"})
GATEWAY_NAMESPACE = "istio-system"

Object = Mapping[str, Any]


def check(room: Room) -> Iterator[Said]:
    answers = room.send(COUNT, path=PROBE)
    marks = [answer.mark for answer in (*answers, *room.send(COUNT))]
    requests = room.requests(marks)
    probes = [request for request in requests if _of_probe(request)]
    pages = len(requests) - len(probes)

    failed = [answer.status for answer in answers if answer.status != 200]
    if failed:
        yield wrong("probes-fail", path=PROBE, status=failed[0])
    if pages == 0:
        yield _why_nothing(room)
    else:
        yield done("requests-traced", traced=pages, sent=COUNT)
    if probes:
        yield _why_probes(room, probes)
    elif pages and not failed:
        yield done("probes-silent", path=PROBE, sent=COUNT)


def _of_probe(request: Request) -> bool:
    """Whether a span of it names the probe's path: in `http.url`, with host and perhaps a query."""
    urls = (str(span.tags.get("http.url", "")) for trace in request.traces for span in trace.spans)
    return any(url.partition("?")[0].endswith(PROBE) for url in urls)


def _why_nothing(room: Room) -> Said:
    telemetry = room.object("Telemetry", "mesh-default", GATEWAY_NAMESPACE) or {}
    for tracing in telemetry.get("spec", {}).get("tracing", []):
        if tracing.get("randomSamplingPercentage") == 0:
            return wrong("sampling-off", telemetry="istio-system/mesh-default")
    found = room.object("EnvoyFilter", "health-checks", GATEWAY_NAMESPACE) or {}
    if any(not _route_name(patch) for patch in found.get("spec", {}).get("configPatches", [])):
        return wrong("filter-too-wide", name="istio-system/health-checks")
    return missing("requests-not-traced", sent=COUNT)


def _why_probes(room: Room, probes: list[Request]) -> Said:
    seen: dict[str, object] = {"path": PROBE, "traced": len(probes), "trace": probes[0].traces[0].trace_id}
    for service in room.objects("VirtualService"):
        for route in service["spec"].get("http", []):
            removed = route.get("headers", {}).get("request", {}).get("remove", [])
            tracing = [name for name in removed if name.lower() in TRACING_HEADERS or name.lower().startswith("x-b3-")]
            if tracing:
                return wrong("headers-removed", **seen, name=service["metadata"]["name"], headers=", ".join(tracing))
    for entry in room.objects("EnvoyFilter"):
        meta = entry["metadata"]
        if meta.get("namespace") != GATEWAY_NAMESPACE and any(map(_switches_off, entry["spec"]["configPatches"])):
            return wrong("filter-elsewhere", **seen, name=f"{meta.get('namespace')}/{meta['name']}")
    return missing("probes-traced", **seen)


def _route_name(patch: Object) -> str:
    match = patch.get("match", {}).get("routeConfiguration", {}).get("vhost", {}).get("route", {})
    return str(match.get("name", ""))


def _switches_off(patch: Object) -> bool:
    return "tracing" in patch.get("patch", {}).get("value", {})
