"""The traces that a request must leave, as trees: what every sidecar and SDK adds, and where they fall apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from tests.e2e.shapes import GATEWAY

from meshtrail.model.span import Span
from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient

Tree = tuple[str, str, "tuple[Tree, ...]"]
"""Service, kind, children in alphabetical order: of what runs side by side nobody knows which span is first."""

# The spans of each service's own in the otel form, from its server span on; what a call leads to hangs below its client
# span, which the name of the other service in braces stands for.
OWN: Mapping[str, tuple[object, ...]] = {
    "frontend": ("server", ("{backend}",)),
    "backend": ("server", ("internal", ("internal", ("{database}",)))),
    "database": ("server", ("client",)),
    "productpage": ("server", ("{details}",), ("{reviews}",), ("internal",)),
    "details": ("server",),
    "reviews": ("server", ("internal", ("{ratings}",))),
    "ratings": ("server",),
    "helloworld": ("server",),
}


@dataclass(frozen=True)
class Expected:
    """Who calls whom, from the entry on, and which services are in the otel form."""

    entry: str
    calls: Mapping[str, tuple[str, ...]]
    otel: Collection[str] = ()

    def pieces(self, dropping: Collection[str] = ()) -> list[Tree]:
        """The traces of one request when the services `dropping` forward no headers that the sidecars read."""
        lost: list[Tree] = []
        whole = node(GATEWAY, "server", node(GATEWAY, "client", self._sidecar(self.entry, dropping, lost)))
        return sorted([whole, *lost])

    def _sidecar(self, service: str, dropping: Collection[str], lost: list[Tree]) -> Tree:
        """The server span of a service's sidecar and all below; what is cut off goes to `lost`."""

        def call(callee: str) -> tuple[Tree, ...]:
            sent = node(f"{service}.meshtrail", "client", self._sidecar(callee, dropping, lost))
            if service in dropping:
                lost.append(sent)
                return ()
            return (sent,)

        callees = self.calls.get(service, ())
        if service in self.otel:
            below: tuple[Tree, ...] = (_own(service, OWN[service], callees, call),)
        else:
            below = tuple(tree for callee in callees for tree in call(callee))
        return node(f"{service}.meshtrail", "server", *below)


def _own(
    service: str, shape: tuple[object, ...], callees: tuple[str, ...], call: Callable[[str], tuple[Tree, ...]]
) -> Tree:
    kind, *below = shape
    assert isinstance(kind, str)
    if kind.startswith("{"):
        return node(service, "client", *call(kind.strip("{}")))
    # A version that asks nobody makes no span of asking.
    wanted = [one for one in below if isinstance(one, tuple) and _asks(one) <= set(callees)]
    return node(service, kind, *(_own(service, one, callees, call) for one in wanted))


def _asks(shape: tuple[object, ...]) -> set[str]:
    found = {part.strip("{}") for part in shape if isinstance(part, str) and part.startswith("{")}
    return found.union(*(_asks(part) for part in shape if isinstance(part, tuple)))


def node(service: str, kind: str, *children: Tree) -> Tree:
    return (service, kind, tuple(sorted(children)))


def tree(trace: Trace, top: Span) -> Tree:
    return node(top.service, top.kind, *(tree(trace, child) for child in trace.children_of(top)))


def pieces(jaeger: str, since_us: int, expected: list[Tree], *, within: float = 10.0) -> list[Trace]:
    """The traces since a moment, once they are as expected; AssertionError with what came."""
    deadline = time.monotonic() + within
    with JaegerClient(jaeger) as client:
        while True:
            traces = _since(client, since_us)
            seen = sorted(tree(trace, top) for trace in traces for top in trace.tops)
            if seen == expected:
                assert all(trace.complete for trace in traces)
                return traces
            assert time.monotonic() < deadline, f"{drawn(seen)}\n-- instead of\n{drawn(expected)}"
            time.sleep(0.05)


def late(jaeger: str, since_us: int) -> int:
    """How many spans there are since a moment, the last ones included: Envoys and SDKs hand them over in 200 ms."""
    time.sleep(0.25)
    with JaegerClient(jaeger) as client:
        return sum(len(trace.spans) for trace in _since(client, since_us))


def _since(client: JaegerClient, since_us: int) -> list[Trace]:
    found = client.find_any(start_us=since_us, limit=100)
    return sorted(found, key=lambda trace: trace.start_us)


def drawn(trees: Collection[Tree], depth: int = 0) -> str:
    return "\n".join(
        f"{'  ' * depth}{service} {kind}" + (f"\n{drawn(children, depth + 1)}" if children else "")
        for service, kind, children in trees
    )
