"""How much is traced, who decided it, and whether what is traced is whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meshtrail.exercises import Answer, Room, Said, done, missing, wrong
from meshtrail.exercises.observing import marks_in
from meshtrail.model.request import Request
from meshtrail.model.trace import Trace

SHARE = 10.0
"""Percent of the requests that shall be traced."""

COUNT = 110
PARALLEL = 8
CHANCE = 1e-5
"""How often a mesh that samples rightly may be called wrong, on either side: asked again, it is not."""

CUT_COUNT = 40
"""Of traces that each go on with a chance of one in ten, all of 40 do so once in 10**40 times."""

ROOT = "istio-system"
GATEWAY_LABELS = {"istio": "ingressgateway", "app": "istio-ingressgateway"}

Object = Mapping[str, Any]


def check(room: Room) -> Iterator[Said]:
    yield from (_request_id if room.case == "request-id" else _share)(room)


def _share(room: Room) -> Iterator[Said]:
    """Ten percent, decided by the gateway, and every trace whole."""
    answers = room.send(COUNT, parallel=PARALLEL)
    requests = room.requests(answers)
    traced = _traced(requests, answers)
    seen: dict[str, object] = {"traced": traced, "sent": len(answers)}
    low, high = bounds(len(answers), SHARE / 100)
    said = _percentage(room, ROOT, GATEWAY_LABELS)
    own = _percentage(room, room.namespace, None)
    if said == SHARE and low <= traced <= high:
        yield done("share-right", **seen, low=low, high=high)
    elif said == SHARE:
        yield missing("share-not-yet", **seen, low=low, high=high)
    elif own is not None and said == 100:
        yield wrong("sidecars-only", **seen, share=own)
    elif said in (None, 100):
        yield missing("all-traced", **seen)
    else:
        yield wrong("other-share", **seen, share=said)
    yield from _wholeness(room, requests)


def _wholeness(room: Room, requests: Sequence[Request]) -> Iterator[Said]:
    sampler = room.variable("backend", "OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    if not sampler.startswith("parentbased"):
        holes = [request for request in requests if not request.complete]
        yield wrong("sdk-decides", sampler=sampler, holes=len(holes), traced=len(requests))
        return
    cut = [request for request in requests if not _is_whole(request, room.services)]
    if cut:
        yield missing("traces-cut", **_of(cut, requests))
    elif requests:
        yield done("traces-whole", traced=len(requests))


def _request_id(room: Room) -> Iterator[Said]:
    """Every trace that begins goes to its end, because the decision does, and not because it is made anew each time."""
    requests = room.requests(room.send(CUT_COUNT, parallel=PARALLEL))
    cut = [request for request in requests if not _is_whole(request, room.services)]
    changed = [request for request in requests if len(request.traces[0].request_ids) > 1]
    if not requests:
        yield missing("nothing-traced", sent=CUT_COUNT)
    elif cut:
        yield missing("traces-cut", **_of(cut, requests))
    else:
        yield done("traces-whole", traced=len(requests))
    said = _percentage(room, room.namespace, None)
    if changed and said == SHARE:
        trace = changed[0].traces[0]
        yield missing("request-id-changes", count=len(trace.request_ids), trace=trace.trace_id)
    elif changed:
        yield wrong("sampling-raised", share=100 if said is None else said, trace=changed[0].traces[0].trace_id)
    elif requests and not cut:
        yield done("request-id-kept", traced=len(requests))


def bounds(count: int, share: float) -> tuple[int, int]:
    """The least and the most of `count` that chance gives at `share`, but for `CHANCE` on either side."""
    chances = [math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(count + 1)]
    low = next(k for k in range(count + 1) if sum(chances[: k + 1]) > CHANCE)
    high = next(k for k in range(count, -1, -1) if sum(chances[k:]) > CHANCE)
    return low, high


def _traced(requests: Sequence[Request], answers: Sequence[Answer]) -> int:
    found = marks_in([trace for request in requests for trace in request.traces])
    return len(found & {answer.mark for answer in answers})


def _is_whole(request: Request, services: Sequence[str]) -> bool:
    return request.complete and set(services) <= {span.app for span in request.traces[0].spans}


def _of(cut: Sequence[Request], requests: Sequence[Request]) -> dict[str, object]:
    trace = cut[0].traces[0]
    return {"cut": len(cut), "traced": len(requests), "trace": trace.trace_id, "last": _last(trace)}


def _last(trace: Trace) -> str:
    """The service of the innermost span: what it called left none."""
    return max(trace.walk(), key=lambda node: node.depth).span.app


def _percentage(room: Room, namespace: str, labels: Mapping[str, str] | None) -> float | None:
    """What the Telemetries of a namespace say of sampling, for the proxy with these labels or for all of it.

    None: nothing.
    """
    wide: float | None = None
    narrow: float | None = None
    for telemetry in room.objects("Telemetry"):
        if telemetry["metadata"].get("namespace") != namespace:
            continue
        spec: Object = telemetry.get("spec", {})
        selector = spec.get("selector", {}).get("matchLabels", {})
        for tracing in spec.get("tracing", []):
            share = tracing.get("randomSamplingPercentage")
            if share is None:
                continue
            if not selector:
                wide = float(share)
            elif labels is not None and all(labels.get(name) == value for name, value in selector.items()):
                narrow = float(share)
    return wide if narrow is None else narrow
