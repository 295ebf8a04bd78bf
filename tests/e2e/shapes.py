"""What a trace of the three-tier application looks like, and how the tests ask for one."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping

import httpx

from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient

GATEWAY = "istio-ingressgateway.istio-system"
FRONTEND = "frontend.meshtrail"
BACKEND = "backend.meshtrail"
DATABASE = "database.meshtrail"

CHAIN = [
    (GATEWAY, "server"),
    (GATEWAY, "client"),
    (FRONTEND, "server"),
    (FRONTEND, "client"),
    (BACKEND, "server"),
    (BACKEND, "client"),
    (DATABASE, "server"),
]
ANSWER = {
    "message": "Frontend response",
    "backend_data": {
        "message": "Backend response",
        "database_data": {"message": "Data from database", "records": 42},
        "processed": 84,
    },
}


def request(gateway: str, path: str = "/", headers: Mapping[str, str] | None = None) -> str:
    """Ask the gateway once, check the answer, and give back the mark that finds the request's gateway span."""
    mark = f"meshtrail-test/{secrets.token_hex(8)}"
    with httpx.Client(trust_env=False, timeout=15) as client:
        answer = client.get(gateway + path, headers={"user-agent": mark, **(headers or {})})
    assert answer.status_code == 200, answer.text
    if path == "/":
        assert answer.json() == ANSWER
    return mark


def trace_of(jaeger: str, mark: str, done: Callable[[Trace], bool], *, deadline_s: float = 10.0) -> Trace:
    """The trace whose gateway span carries `mark`, once `done` holds of it; AssertionError with its shape otherwise."""
    found: tuple[Trace, ...] = ()
    deadline = time.monotonic() + deadline_s
    with JaegerClient(jaeger) as client:
        while time.monotonic() < deadline:
            found = client.find(GATEWAY, tags={"user_agent": mark})
            if len(found) == 1 and done(found[0]):
                return found[0]
            time.sleep(0.05)
    raise AssertionError([chain(trace) for trace in found])


def chain(trace: Trace) -> list[tuple[str, str]]:
    """Service and kind of each span, parents before children."""
    return [(node.span.service, node.span.kind) for node in trace.walk()]


def spans(number: int) -> Callable[[Trace], bool]:
    return lambda trace: len(trace.spans) >= number


def is_single_path(trace: Trace) -> bool:
    """Whether every span has at most one child and depth grows by one: a chain, not a bush."""
    return [node.depth for node in trace.walk()] == list(range(len(trace.spans)))


def nested_in_time(trace: Trace) -> list[str]:
    """Spans that begin before their parent, or after its end, in words; empty when all is well.

    A millisecond is no fault: Envoy and the SDK read the clock each for themselves. Nor is a proxy that closes its span
    a little after the application has its answer: the last byte comes first.
    """
    wrong = []
    for span in trace.spans:
        parent = trace.parent_of(span)
        if parent and not parent.start_us - 1000 <= span.start_us <= parent.end_us + 1000:
            wrong.append(
                f"{span.service} {span.kind} {span.name} begins at {span.start_us}, outside "
                f"{parent.service} {parent.kind} {parent.name} [{parent.start_us}, {parent.end_us}]"
            )
    return wrong
