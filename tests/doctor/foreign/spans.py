"""Trees of spans in few words, for traces of applications that are not ours: written as OTLP/JSON, as a Collector does.

Names and attributes are those that the applications' own instrumentation writes (OpenTelemetry's semantic conventions,
Envoy's legacy names); ids and times are made up here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
EPOCH_US = 1_795_000_000_000_000

Value = str | int | float | bool


@dataclass
class S:
    """One span and what it caused. `us` is its own work before and after each child; children run one after the other.

    `trace` begins a new trace here: with no parent, and if `linked` with a link to the span above. `lost` was never
    exported. `skew_us` is how far the clock of its process is off. `later_us` is how long after its cause it begins.
    """

    service: str
    name: str
    kind: str
    children: list[S] = field(default_factory=list)
    tags: Mapping[str, Value] = field(default_factory=dict)
    resource: Mapping[str, Value] = field(default_factory=dict)
    us: int = 400
    error: bool = False
    trace: bool = False
    linked: bool = False
    lost: bool = False
    skew_us: int = 0
    later_us: int = 0
    parallel: bool = False


Shape = Callable[[random.Random], S]


def write(file: Path, shapes: Iterable[Shape], *, requests: int, seed: int = 1, rate: float = 40.0) -> Path:
    """`requests` requests of random shapes, many of them at the same time; a document a line."""
    chance = random.Random(seed)
    choice = list(shapes)
    with file.open("w", encoding="utf-8") as out:
        for number in range(requests):
            begin = EPOCH_US + int(number / rate * 1_000_000) + chance.randrange(10_000)
            spans: list[tuple[S, dict[str, Any]]] = []
            _place(chance.choice(choice)(chance), begin, _hex(chance, 16), "", "", chance, spans)
            out.write(json.dumps({"resourceSpans": [_group(node, span) for node, span in spans]}) + "\n")
    return file


def _place(
    node: S, begin: int, trace: str, parent: str, above: str, chance: random.Random,
    spans: list[tuple[S, dict[str, Any]]],
) -> int:  # fmt: skip
    """Add the span and all below it; when it ends, in microseconds."""
    mine, identity = (_hex(chance, 16) if node.trace else trace), _hex(chance, 8)
    begin += node.later_us
    at = end = begin + int(node.us * chance.uniform(0.6, 1.6))
    for child in node.children:
        done = _place(child, at, mine, identity, trace, chance, spans)
        if not child.later_us:
            end = max(end, done)
            at = at if node.parallel else done
    end += int(node.us * chance.uniform(0.6, 1.6))
    if not node.lost:
        span: dict[str, Any] = {
            "traceId": mine,
            "spanId": identity,
            "parentSpanId": "" if node.trace else parent,
            "name": node.name,
            "kind": KINDS[node.kind],
            "startTimeUnixNano": str((begin + node.skew_us) * 1000),
            "endTimeUnixNano": str((end + node.skew_us) * 1000),
            "attributes": [_pair(key, value) for key, value in node.tags.items()],
            "status": {"code": 2} if node.error else {},
        }
        if node.trace and node.linked:
            span["links"] = [{"traceId": trace, "spanId": parent}]
        spans.append((node, span))
    return end


def _group(node: S, span: dict[str, Any]) -> dict[str, Any]:
    attributes = [_pair("service.name", node.service), *(_pair(k, v) for k, v in node.resource.items())]
    return {"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [span]}]}


def _pair(key: str, value: Value) -> dict[str, Any]:
    kind = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(value)]
    return {"key": key, "value": {kind: str(value) if kind == "intValue" else value}}


def _hex(chance: random.Random, size: int) -> str:
    return chance.randbytes(size).hex()
