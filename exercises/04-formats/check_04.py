"""Gateway, sidecars and services speak one format, mended on the side that the case is about."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from meshtrail.exercises import Room, Said, done, missing, wrong
from meshtrail.model.request import Request

COUNT = 3
PATIENCE_S = 1.0
"""Spans of one proxy may be there before those of the next."""

ROOT = "istio-system"
FORWARDING = ("frontend", "backend")
"""The services that call another one; database has nothing to forward."""

Object = Mapping[str, Any]


def check(room: Room) -> Iterator[Said]:
    yield _whole(room)
    yield from {"mesh": _mesh, "application": _application, "sdk": _sdk}[room.case](room)


def _whole(room: Room) -> Said:
    """Whether every request is one trace through all services."""
    answers = room.send(COUNT)
    failed = [answer for answer in answers if answer.status != 200]
    if failed:
        return wrong("requests-fail", status=failed[0].status or failed[0].error)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = room.requests(answers)
        # A format that the next proxy does not read makes two traces of one request, both of them whole.
        whole = len(found) == COUNT and all(_is_whole(request, room.services) for request in found)
        if whole or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if not found:
        return missing("no-traces", sent=COUNT)
    if not whole:
        tops = [top for request in found for trace in request.traces for top in trace.tops]
        begun = dict.fromkeys(top.app for top in tops if top.maker != "gateway")
        return missing("request-broken", sent=COUNT, pieces=len(tops), at=tuple(begun) or room.services)
    return done("request-whole", sent=COUNT, trace=found[0].traces[0].trace_id)


def _is_whole(request: Request, services: Sequence[str]) -> bool:
    return request.complete and set(services) <= {span.app for span in request.traces[0].spans}


def _mesh(room: Room) -> Iterator[Said]:
    modes = room.propagation()
    changed = [name for name in FORWARDING if modes.get(name) != "b3"]
    if changed:
        yield wrong("application-changed", services=changed, modes=[modes.get(name, "?") for name in changed])
    else:
        yield done("application-b3", services=FORWARDING)
    own, gateway = _provider(room, room.namespace), _provider(room, ROOT)
    if own and not _formats(room, own) & _formats(room, gateway):
        yield wrong("mesh-one-side", provider=own, gateway=gateway)


def _application(room: Room) -> Iterator[Said]:
    provider = _provider(room, room.namespace)
    if provider:
        yield wrong("mesh-changed", provider=provider)
    else:
        yield done("mesh-untouched", provider=_provider(room, ROOT))
    modes = room.propagation()
    left = [name for name in FORWARDING if modes.get(name) == "b3"]
    off = [name for name in FORWARDING if modes.get(name) == "none"]
    if off:
        yield wrong("headers-off", services=off)
    elif len(left) == len(FORWARDING):
        yield missing("still-b3", services=left)
    elif left:
        yield wrong("half-mended", mended=[name for name in FORWARDING if name not in left], left=left)
    else:
        yield done("application-w3c", services=FORWARDING, modes=[modes.get(name, "?") for name in FORWARDING])


def _sdk(room: Room) -> Iterator[Said]:
    provider = _provider(room, room.namespace)
    if provider:
        yield wrong("mesh-changed", provider=provider)
    if room.form("backend") != "otel":
        yield wrong("sdk-gone")
        return
    propagators = room.variable("backend", "OTEL_PROPAGATORS") or "b3multi,tracecontext,baggage"
    mode = room.propagation().get("backend", "?")
    if "tracecontext" in propagators.split(","):
        yield done("sdk-w3c", propagators=propagators)
    elif mode != "all":
        yield wrong("switch-only", mode=mode, propagators=propagators)
    else:
        yield missing("sdk-b3", propagators=propagators)


def _provider(room: Room, namespace: str) -> str:
    """The provider that a whole namespace names; empty: none of its own."""
    for telemetry in room.objects("Telemetry"):
        spec = telemetry.get("spec", {})
        if telemetry["metadata"].get("namespace") == namespace and not spec.get("selector"):
            for tracing in spec.get("tracing", []):
                for provider in tracing.get("providers", [])[:1]:
                    return str(provider["name"])
    return ""


def _formats(room: Room, provider: str) -> frozenset[str]:
    """What the tracer behind a provider reads, by the mesh's configuration."""
    config = room.object("ConfigMap", "istio", ROOT) or {}
    known = (yaml.safe_load(config.get("data", {}).get("mesh", "")) or {}).get("extensionProviders", [])
    found: Object = next((entry for entry in known if entry.get("name") == provider), {})
    if "zipkin" not in found:
        return frozenset({"w3c"})
    both = found["zipkin"].get("traceContextOption") == "USE_B3_WITH_W3C_PROPAGATION"
    return frozenset({"b3", "w3c"} if both else {"b3"})
