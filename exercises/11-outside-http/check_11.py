"""Whether what HTTP does not show is in the trace: SQL, a call through a TCP port, work that a message asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from meshtrail.exercises import Room, Said, done, missing, wrong
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace

ORDER = "/order"
# An Envoy keeps its spans for up to 5 s on a cluster; the local mesh sends them at once.
LATE_S = {"local": 2.0, "cluster": 7.0}

Seen = list[tuple[Trace, Span]]


def check(room: Room) -> Iterator[Said]:
    yield from {"sql": _sql, "tcp": _tcp, "message": _message}[room.case](room)


def _sql(room: Room) -> Iterator[Said]:
    found, sent = _wait(room, "/", lambda span: "db.system" in span.tags or "db.system.name" in span.tags)
    if found:
        trace, span = found[0]
        yield done("sql-in-trace", name=span.name, ms=round(span.duration_us / 1000, 2), trace=trace.trace_id)
    elif room.form("backend") == "otel":
        yield wrong("caller-is-not-enough", service="backend", sent=sent)
    else:
        yield missing("no-sql", sent=sent)


def _tcp(room: Room) -> Iterator[Said]:
    ports = (room.object("Service", "database") or {}).get("spec", {}).get("ports", [])
    if any(str(port.get("name", "")).startswith("http") or port.get("appProtocol") == "http" for port in ports):
        yield wrong("port-renamed", name=ports[0].get("name", ""))
    else:
        yield done("port-is-tcp", name=ports[0].get("name", "") if ports else "")
    found, sent = _wait(room, "/", lambda span: span.app == "database" and span.kind == "server" and not span.by_proxy)
    joined = [(trace, span) for trace, span in found if trace.parent_of(span) is not None]
    if joined:
        trace, span = joined[0]
        yield done("call-in-trace", caller=_parent(trace, span), name=span.name, trace=trace.trace_id)
    elif room.form("backend") == "otel":
        yield wrong("other-side-silent", service="database", sent=sent)
    else:
        yield missing("call-hidden", sent=sent)


def _message(room: Room) -> Iterator[Said]:
    writes, reads = (_carries(room, name) for name in ("orders", "packer"))
    # Both sides are known before the request: without both there is nothing to wait for.
    found, sent = _wait(room, ORDER, lambda span: span.app == "packer", late=writes and reads)
    if found:
        trace, span = found[0]
        yield done("work-in-trace", parent=_parent(trace, span), spans=len(trace.spans), trace=trace.trace_id)
    elif writes and not reads:
        yield wrong("nobody-reads", sent=sent)
    elif reads and not writes:
        yield wrong("nobody-writes", sent=sent)
    else:
        apart = room.jaeger.find(f"packer.{room.namespace}", start_us=room.since_us, limit=1)
        yield missing("work-apart", sent=sent, trace=apart[0].trace_id if apart else "-")


def _wait(room: Room, path: str, wanted: Callable[[Span], bool], *, late: bool = True) -> tuple[Seen, int]:
    """Two requests, and the spans of their traces that are `wanted`; they may be the last ones to arrive."""
    answers = room.send(2, path=path)
    deadline = time.monotonic() + (LATE_S[room.target] if late else 0)
    while True:
        traces = [trace for request in room.requests(answers) for trace in request.traces]
        found = [(trace, span) for trace in traces for span in trace.spans if wanted(span)]
        if found or time.monotonic() > deadline:
            return found, len(answers)
        time.sleep(0.1)


def _carries(room: Room, name: str) -> bool:
    """Whether MESSAGE_CONTEXT of that Deployment is on."""
    spec = (room.object("Deployment", name) or {}).get("spec", {}).get("template", {}).get("spec", {})
    variables = [one for container in spec.get("containers", []) for one in container.get("env", [])]
    return any(one["name"] == "MESSAGE_CONTEXT" and one.get("value") == "on" for one in variables)


def _parent(trace: Trace, span: Span) -> str:
    parent = trace.parent_of(span)
    return "-" if parent is None else f"{parent.kind} {parent.app}"
