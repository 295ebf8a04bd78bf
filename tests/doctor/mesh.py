"""Traces of a mesh as Istio's proxies report them, played: as many requests, at as many times, as a test wants.

Only times and ids are made up; names and tags are those of the traces recorded on a real Istio (tests/parity/recorded).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from meshtrail.model.span import Kind, Scalar, Span
from meshtrail.model.trace import Trace

EPOCH_US = 1_795_000_000_000_000
NAMESPACE = "meshtrail"
THREE_TIER = {"frontend": ("backend",), "backend": ("database",), "database": ()}
BOOKINFO = {"productpage": ("details", "reviews"), "details": (), "reviews": ("ratings",), "ratings": ()}
SDK = {"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "python"}

Mode = str
"""What a service does with the headers: `all`, `none`, `b3` (x-request-id alone is of use), `no-id` (all but
x-request-id), `phantom` (its own span, never exported, becomes the parent), `after` (none, and after its answer)."""


@dataclass(frozen=True)
class Context:
    """What the headers say: trace, parent span, x-request-id. `sampled` is the decision."""

    trace: str
    parent: str | None
    request_id: str
    sampled: bool = True


@dataclass
class Mesh:
    """`modes` says for a service, or for (service, path), what it does with the headers; `pods` how many each has.

    `skew_us` shifts the clock of a service, `silent` are those without a sidecar, `tcp` those whose port is TCP.
    """

    calls: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: THREE_TIER)
    modes: Mapping[object, Mode] = field(default_factory=dict)
    pods: int = 1
    work_us: int = 3_000
    sampling: float = 1.0
    skew_us: Mapping[str, int] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    tcp: frozenset[str] = frozenset()
    seed: int = 1
    gateway: bool = True
    host: str = "shop.example"
    agent: str = "curl/8"
    otel: bool = False
    spans: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def traces(self) -> list[Trace]:
        by_id: dict[str, list[Span]] = {}
        for span in self.spans:
            by_id.setdefault(span.trace_id, []).append(span)
        return [Trace.of(spans) for spans in by_id.values()]

    def requests(self, number: int, *, every_us: int, path: str = "/", at_us: int = EPOCH_US) -> Mesh:
        """Requests at random times, `every_us` apart on average."""
        for _ in range(number):
            at_us += int(self.random.expovariate(1 / every_us))
            self.request(at_us, path)
        return self

    def request(self, at_us: int = EPOCH_US, path: str = "/") -> None:
        entry = next(iter(self.calls))
        context = self.fresh()
        host = f"{entry}.{NAMESPACE}"
        if not self.gateway:
            self.serve(entry, context, at_us, path, self.host, "10.9.9.9")
            return
        gateway = "istio-ingressgateway.istio-system"
        tags = {
            "node_id": "router~10.0.0.9~istio-ingressgateway-0.istio-system~istio-system.svc.cluster.local",
            "guid:x-request-id": context.request_id,
            "http.url": f"http://{self.host}{path}",
            "user_agent": self.agent,
        }
        outer = self.id()
        inner = self.id()
        end = self.serve(entry, replace(context, parent=inner), at_us + self.wire(), path, self.host, "10.0.0.9")
        name = f"{host}.svc.cluster.local"
        cluster = f"outbound|8080||{name}"
        sampled = context.sampled
        self.add(
            sampled, context.trace, inner, outer, gateway, f"router {cluster}; egress", "client",
            at_us + 100, end + 100, {"upstream_cluster": cluster},
        )  # fmt: skip
        self.add(
            sampled, context.trace, outer, context.parent, gateway, f"{name}:8080/*", "server", at_us, end + 300,
            {**tags, "upstream_cluster": cluster},
        )  # fmt: skip

    def serve(self, service: str, context: Context, at_us: int, path: str, host: str, peer: str) -> int:
        """The SERVER span of a sidecar and what the service does; when it ended, on the true clock."""
        reports = service not in self.silent and service not in self.tcp
        span = self.id()
        pod = self.random.randrange(self.pods)
        mode = self.modes.get((service, path), self.modes.get(service, "all"))
        inside = replace(context, parent=span) if reports else context
        now = at_us + self.work()
        app = span
        if self.otel:
            app = self.id()
            inside = replace(inside, parent=app)
        after: list[str] = []
        for called in self.calls[service]:
            if mode == "after":
                after.append(called)
            else:
                now = self.call(service, called, self.headers(mode, inside), now, path, pod)
        now += self.work()
        if self.otel:
            self.sdk(context, app, span if reports else context.parent, service, at_us + 200, now - 200, path)
        for called in after:
            self.call(service, called, self.headers("none", inside), now + self.work(), path, pod)
        if reports:
            self.add(
                context.sampled, context.trace, span, context.parent, f"{service}.{NAMESPACE}",
                f"{service}.{NAMESPACE}.svc.cluster.local:8080/*", "server", at_us, now,
                {
                    **self.of_pod(service, pod), "guid:x-request-id": context.request_id, "peer.address": peer,
                    "http.url": f"http://{host}{path}", "upstream_cluster": "inbound|8080||", "user_agent": self.agent,
                },
            )  # fmt: skip
        return now

    def call(self, service: str, called: str, context: Context, at_us: int, path: str, pod: int) -> int:
        """The CLIENT span of a sidecar, and the other end."""
        span = self.id()
        sees = service not in self.silent and called not in self.tcp
        below = replace(context, parent=span) if sees else context
        end = self.serve(called, below, at_us + self.wire(), path, f"{called}:8080", self.address(service, pod))
        end += self.wire()
        if sees:
            self.client(service, called, context, span, at_us, end, path, pod)
        return end

    def client(
        self, service: str, called: str, context: Context, span: str, at_us: int, end: int, path: str, pod: int
    ) -> None:
        name = f"{called}.{NAMESPACE}.svc.cluster.local"
        self.add(
            context.sampled, context.trace, span, context.parent, f"{service}.{NAMESPACE}", f"{name}:8080/*", "client",
            at_us, end,
            {
                **self.of_pod(service, pod), "guid:x-request-id": context.request_id,
                "http.url": f"http://{called}:8080{path}", "upstream_cluster": f"outbound|8080||{name}",
            },
        )  # fmt: skip

    def timer(self, service: str, called: str, number: int, *, every_us: int, at_us: int = EPOCH_US) -> Mesh:
        """A job of the service that calls at a clock's beat, without any request."""
        for beat in range(number):
            self.call(service, called, self.fresh(), at_us + beat * every_us, "/job", 0)
        return self

    def headers(self, mode: Mode, context: Context) -> Context:
        if mode == "all":
            return context
        if mode == "phantom":
            return replace(context, parent=self.id())
        fresh = self.fresh()
        if mode == "b3":
            return replace(fresh, request_id=context.request_id, sampled=context.sampled)
        if mode == "no-id":
            return replace(context, request_id=fresh.request_id, sampled=context.sampled and fresh.sampled)
        return fresh

    def sdk(
        self, context: Context, span: str, parent: str | None, service: str, at_us: int, end: int, path: str
    ) -> None:
        self.add(
            context.sampled, context.trace, span, parent, service, f"GET {path}", "server", at_us, end,
            {"http.request.method": "GET", "url.path": path, "otel.scope.name": "opentelemetry.instrumentation.flask"},
            SDK,
        )  # fmt: skip

    def add(
        self,
        sampled: bool,
        trace: str,
        span: str,
        parent: str | None,
        service: str,
        name: str,
        kind: Kind,
        at_us: int,
        end_us: int,
        tags: Mapping[str, Scalar],
        process: Mapping[str, Scalar] | None = None,
    ) -> None:
        if not sampled:
            return
        shift = self.skew_us.get(service.partition(".")[0], 0)
        proxy: dict[str, Scalar] = {
            "component": "proxy",
            "http.method": "GET",
            "http.status_code": "200",
            "response_flags": "-",
            "otel.scope.name": "envoy",
            "istio.namespace": service.partition(".")[2],
            "istio.canonical_service": service.partition(".")[0],
        }
        made = {"http.response.status_code": 200, **tags} if process else {**proxy, **tags}
        made["span.kind"] = kind
        self.spans.append(
            Span(trace, span, parent, service, name, kind, at_us + shift, max(1, end_us - at_us), made, process or {})
        )

    def of_pod(self, service: str, pod: int) -> dict[str, Scalar]:
        node = f"sidecar~{self.address(service, pod)}~{service}-{pod}.{NAMESPACE}~{NAMESPACE}.svc.cluster.local"
        return {"node_id": node, "istio.canonical_revision": "v1"}

    def address(self, service: str, pod: int) -> str:
        return f"10.0.{list(self.calls).index(service) + 1}.{pod + 1}"

    def fresh(self) -> Context:
        request_id = f"{self.random.getrandbits(64):016x}"
        return Context(self.id() + self.id(), None, request_id, self.random.random() < self.sampling)

    def id(self) -> str:
        return f"{self.random.getrandbits(64):016x}"

    def work(self) -> int:
        return 200 + int(self.random.expovariate(1 / self.work_us))

    def wire(self) -> int:
        return self.random.randint(150, 600)


def changed(traces: Iterable[Trace], change: Callable[[Span], Span | None]) -> list[Trace]:
    """The traces with each span as `change` gives it, without those for which it gives None."""
    found = ([new for span in trace.spans if (new := change(span)) is not None] for trace in traces)
    return [Trace.of(spans) for spans in found if spans]
