"""What is recorded on a cluster and played again on the local mesh: one row a situation.

A situation is an application with something laid over it, and requests to its gateway.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

INGRESS = "istio-ingressgateway"
HOST = "three-tier.example"
USER_AGENT = "meshtrail-parity"
CLIENT_TRACE = "0af7651916cd43dd8448eb211c80319c"
"""Stands for a trace id that is another one each time."""
CLIENT_SPAN = "b7ad6b7169203331"

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """`count` requests one after the other, each on a connection of its own, to `gateway` (a proxy's name); with `user`
    each behind a sign-in at productpage.
    """

    path: str = "/"
    headers: Pairs = ()
    count: int = 1
    method: str = "GET"
    host: str = HOST
    gateway: str = INGRESS
    user: str = ""


@dataclass(frozen=True)
class Situation:
    """`otel` names the services in the otel form, `languages` those not in Python. `lay` are manifests over the
    application: names of laid/, or paths of the repository. `propagation` is what the switch of a service says.
    `linger` is how many seconds it goes on after the answer. `tolerance` None: every trace must be the same; else the
    share of each kind of trace may differ by it. `once`: the first requests after the manifests were laid count, since
    they change what comes after them. `differs` is the name of the difference (meshtrail.mesh.differences) because of
    which the local mesh refuses the manifests.
    """

    name: str
    otel: tuple[str, ...] = ()
    languages: Pairs = ()
    lay: tuple[str, ...] = ()
    propagation: Pairs = ()
    requests: tuple[Request, ...] = (Request(),)
    linger: float = 0.3
    tolerance: float | None = None
    once: bool = False
    differs: str = ""


@dataclass(frozen=True)
class Application:
    """`name` is one of `meshtrail.local.applications`, which says where its manifests are."""

    name: str
    namespace: str
    situations: tuple[Situation, ...]


B3, B3_W3C = "istio/variants/b3.yaml", "istio/variants/b3-w3c.yaml"
SAMPLED = (("traceparent", f"00-{CLIENT_TRACE}-{CLIENT_SPAN}-01"),)
UNSAMPLED = (("traceparent", f"00-{CLIENT_TRACE}-{CLIENT_SPAN}-00"),)
CLIENT_B3 = (("x-b3-traceid", CLIENT_TRACE), ("x-b3-spanid", CLIENT_SPAN), ("x-b3-sampled", "1"))
SERVICES = ("frontend", "backend", "database")


def asked(**fields: object) -> tuple[Request, ...]:
    return (replace(Request(), **fields),)  # type: ignore[arg-type]


def switched(prefix: str, *lay: str, otel: tuple[str, ...] = (), services: tuple[str, ...]) -> Iterator[Situation]:
    """Every mode of the propagation switch, in one service at a time."""
    for service in services:
        for mode in ("none", "b3", "w3c"):
            yield Situation(f"{prefix}-{service}-{mode}", otel=otel, lay=lay, propagation=((service, mode),))


PLAIN = (
    Situation("plain"),
    *switched("plain", services=("frontend", "backend")),
    Situation("plain-database-none", propagation=(("database", "none"),)),
    Situation("plain-frontend-and-backend-none", propagation=(("frontend", "none"), ("backend", "none"))),
    Situation("client-traceparent-sampled", requests=asked(headers=SAMPLED)),
    Situation("client-traceparent-unsampled", requests=asked(headers=UNSAMPLED)),
    Situation("client-b3", requests=asked(headers=CLIENT_B3)),
    Situation("health-excluded", requests=asked(path="/healthz")),
    Situation("not-found", requests=asked(path="/nothing/here?x=1")),
    Situation("method-not-allowed", requests=asked(method="DELETE")),
    # Routing.
    Situation("path-routes", lay=("path-routes",)),
    Situation("headers-operations", lay=("headers-operations",), requests=asked(headers=(("end-user", "bob"),))),
    Situation("fault-abort", lay=("fault-abort",)),
    Situation("fault-delay", lay=("fault-delay",)),
    Situation("timeout", lay=("database-delay", "backend-timeout"), linger=2.5),
    Situation("second-gateway", lay=("second-gateway",), requests=asked(host="second.example", path="/api/data")),
    Situation("second-gateway-no-route", lay=("second-gateway",), requests=asked(host="second.example")),
    Situation(
        "gateway-header-route",
        lay=("gateway-routes",),
        requests=asked(host="routes.example", path="/?direct=yes", headers=(("x-tier", "middle"),)),
    ),
    Situation("gateway-redirect", lay=("gateway-routes",), requests=asked(host="routes.example", path="/old/place")),
    Situation("gateway-direct-response", lay=("gateway-routes",), requests=asked(host="routes.example", path="/tea")),
    Situation("gateway-rewrite", lay=("gateway-routes",), requests=asked(host="routes.example", path="/front")),
    # Two versions.
    Situation("weights", lay=("backend-v2", "weights"), requests=asked(count=40), tolerance=0.4),
    Situation(
        "header-route-alice", lay=("backend-v2", "header-route"), requests=asked(headers=(("end-user", "alice"),))
    ),
    Situation("header-route-nobody", lay=("backend-v2", "header-route")),
    Situation("mirror", lay=("backend-v2", "mirror")),
    # A version that fails.
    Situation("application-error", lay=("database-faulty", "database-fails")),
    Situation("retry", lay=("database-faulty", "retry")),
    Situation("outlier-ejection", lay=("database-faulty", "outlier-ejection"), requests=asked(count=12), once=True),
    # Who may call whom.
    Situation("denied-path", lay=("deny-query",)),
    Situation("denied-identity", lay=("deny-identity",), differs="identity"),
    # Tracing.
    Situation("tags-namespace", lay=("tags-namespace",), requests=asked(headers=(("end-user", "alice"),))),
    Situation("tags-workload", lay=("tags-workload",)),
    Situation("silent-workload", lay=("silent-workload",)),
    Situation("sampling-0", lay=("istio/variants/sampling-0.yaml",)),
    Situation("sampling-0-client-sampled", lay=("istio/variants/sampling-0.yaml",), requests=asked(headers=SAMPLED)),
    Situation("sampling-50", lay=("sampling-50",), requests=asked(count=40), tolerance=0.45),
    Situation("tcp-named-port", lay=("tcp-named-port",)),
    Situation("b3", lay=(B3,)),
    *switched("b3", B3, services=("frontend", "backend")),
    Situation("b3-client-traceparent", lay=(B3,), requests=asked(headers=SAMPLED)),
    Situation("b3-client-b3", lay=(B3,), requests=asked(headers=CLIENT_B3)),
    Situation("b3-w3c", lay=(B3_W3C,)),
    *switched("b3-w3c", B3_W3C, services=("backend",)),
    Situation("b3-w3c-client-traceparent", lay=(B3_W3C,), requests=asked(headers=SAMPLED)),
)

API = "istio/gateway-api/three-tier"
API_GATEWAY = "three-tier-istio"


def at_routes(path: str, *headers: tuple[str, str]) -> tuple[Request, ...]:
    return (Request(path, headers, host="routes.example", gateway=API_GATEWAY),)


GATEWAY_API = (
    Situation("gateway-api", lay=(API,), requests=asked(gateway=API_GATEWAY)),
    Situation("gateway-api-ingress-gateway", lay=(API,)),
    Situation("gateway-api-health-excluded", lay=(API,), requests=asked(gateway=API_GATEWAY, path="/healthz")),
    Situation(
        "gateway-api-backend-none",
        lay=(API,),
        propagation=(("backend", "none"),),
        requests=asked(gateway=API_GATEWAY),
    ),
    Situation("gateway-api-no-backend", lay=(API, "api-no-backend"), requests=asked(gateway=API_GATEWAY)),
    Situation(
        "gateway-api-timeout",
        lay=(API, "api-timeout", "database-delay"),
        requests=asked(gateway=API_GATEWAY),
        linger=2.5,
    ),
    Situation("gateway-api-route", lay=(API, "api-routes"), requests=at_routes("/some/path")),
    Situation("gateway-api-redirect", lay=(API, "api-routes"), requests=at_routes("/old/place")),
    Situation(
        "gateway-api-match", lay=(API, "api-routes"), requests=at_routes("/direct/?direct=yes", ("x-tier", "middle"))
    ),
    Situation("gateway-api-no-match", lay=(API, "api-routes"), requests=at_routes("/direct/?direct=no")),
    Situation("gateway-api-rewrite", lay=(API, "api-routes"), requests=at_routes("/front")),
    Situation("gateway-api-whole-segments", lay=(API, "api-routes"), requests=at_routes("/frontal")),
    Situation("gateway-api-regular-expression", lay=(API, "api-routes"), requests=at_routes("/reply")),
    Situation("gateway-api-exact", lay=(API, "api-routes"), requests=at_routes("/empty")),
    Situation(
        "gateway-api-weights",
        lay=(API, "backend-v2", "backend-services", "api-weights"),
        requests=asked(gateway=API_GATEWAY, count=40),
        tolerance=0.4,
    ),
    Situation(
        "gateway-api-mirror",
        lay=(API, "backend-v2", "backend-services", "api-mirror"),
        requests=asked(gateway=API_GATEWAY),
    ),
    Situation("gateway-api-tags-namespace", lay=(API, "tags-namespace"), requests=asked(gateway=API_GATEWAY)),
    Situation("gateway-api-b3", lay=(API, B3), requests=asked(gateway=API_GATEWAY)),
)

OTEL = (
    Situation("otel", otel=SERVICES),
    *switched("otel", otel=SERVICES, services=("frontend", "backend")),
    Situation("otel-database-none", otel=SERVICES, propagation=(("database", "none"),)),
    Situation("otel-client-traceparent-sampled", otel=SERVICES, requests=asked(headers=SAMPLED)),
    Situation("otel-not-found", otel=SERVICES, requests=asked(path="/nothing/here")),
    Situation("otel-fault-abort", otel=SERVICES, lay=("fault-abort",)),
    Situation("otel-application-error", otel=SERVICES, lay=("database-faulty", "database-fails")),
    Situation("otel-gateway-api", otel=SERVICES, lay=(API,), requests=asked(gateway=API_GATEWAY)),
    Situation("otel-b3", otel=SERVICES, lay=(B3,)),
    Situation("otel-b3-w3c", otel=SERVICES, lay=(B3_W3C,)),
)

MIXED = (
    Situation("mixed-backend-otel", otel=("backend",)),
    *switched("mixed-backend-otel", otel=("backend",), services=("frontend", "backend")),
    Situation("mixed-backend-otel-b3", otel=("backend",), lay=(B3,)),
)

NODE_AND_GO = (("frontend", "node"), ("database", "go"))
POLYGLOT = (
    Situation("polyglot", languages=NODE_AND_GO),
    Situation("polyglot-frontend-none", languages=NODE_AND_GO, propagation=(("frontend", "none"),)),
    Situation("polyglot-not-found", languages=NODE_AND_GO, requests=asked(path="/nothing/here?x=1")),
    Situation("polyglot-otel", languages=NODE_AND_GO, otel=SERVICES),
    Situation("polyglot-otel-frontend-none", languages=NODE_AND_GO, otel=SERVICES, propagation=(("frontend", "none"),)),
    Situation("polyglot-otel-b3", languages=NODE_AND_GO, otel=SERVICES, lay=(B3,)),
)

BOOKINFO_API = "istio/gateway-api/bookinfo"
PAGE = (Request("/productpage"),)
JASON = (Request("/productpage", user="jason"),)
AT_GATEWAY = (Request("/productpage", gateway="bookinfo-gateway-istio"),)
PAGE_SERVICES = ("productpage", "details", "reviews", "ratings")


def routes(*names: str) -> tuple[str, ...]:
    return tuple(f"istio/bookinfo/{name}" for name in names)


BOOKINFO = (
    Situation("all-v1", lay=routes("all-v1"), requests=PAGE),
    Situation("reviews-v2", lay=routes("reviews-v2"), requests=PAGE),
    Situation("reviews-v3", lay=routes("reviews-v3"), requests=PAGE),
    Situation("health-excluded", lay=routes("all-v1"), requests=(Request("/health"),)),
    Situation("by-user-jason", lay=routes("all-v1", "by-user"), requests=JASON),
    Situation("by-user-nobody", lay=routes("all-v1", "by-user"), requests=PAGE),
    # A client that claims to be somebody is nobody.
    Situation(
        "by-user-claimed",
        lay=routes("all-v1", "by-user"),
        requests=(Request("/productpage", headers=(("end-user", "jason"),)),),
    ),
    Situation("weights", lay=routes("weights-50-50"), requests=(replace(PAGE[0], count=40),), tolerance=0.4),
    # productpage gives up twice after 3 s; ratings answers the first of both 7 s after it was asked.
    Situation("delay-jason", lay=routes("all-v1", "by-user", "delay-jason"), requests=JASON, linger=5.5),
    Situation("delay-nobody", lay=routes("all-v1", "by-user", "delay-jason"), requests=PAGE),
    Situation("abort-jason", lay=routes("all-v1", "by-user", "abort-jason"), requests=JASON),
    Situation("abort-555-jason", lay=routes("all-v1", "by-user", "abort-555-jason"), requests=JASON),
    Situation("mirror", lay=routes("all-v1", "mirror"), requests=PAGE),
    Situation("reviews-none", lay=routes("reviews-v2"), propagation=(("reviews", "none"),), requests=PAGE),
    Situation("productpage-none", lay=routes("reviews-v2"), propagation=(("productpage", "none"),), requests=PAGE),
    # Tracing headers alone are dropped, so that the route by user still holds.
    Situation(
        "by-user-reviews-none", lay=routes("all-v1", "by-user"), propagation=(("reviews", "none"),), requests=JASON
    ),
    Situation("b3", lay=(*routes("reviews-v2"), B3), requests=PAGE),
    Situation("gateway-api", lay=(BOOKINFO_API, f"{BOOKINFO_API}/reviews-v2"), requests=AT_GATEWAY),
    Situation(
        "gateway-api-by-user",
        lay=(BOOKINFO_API, f"{BOOKINFO_API}/by-user"),
        requests=(replace(AT_GATEWAY[0], user="jason"),),
    ),
    Situation("otel-reviews-v2", otel=PAGE_SERVICES, lay=routes("reviews-v2"), requests=PAGE),
    Situation(
        "otel-reviews-none",
        otel=PAGE_SERVICES,
        lay=routes("reviews-v2"),
        propagation=(("reviews", "none"),),
        requests=PAGE,
    ),
    Situation(
        "otel-delay-jason",
        otel=PAGE_SERVICES,
        lay=routes("all-v1", "by-user", "delay-jason"),
        requests=JASON,
        linger=5.5,
    ),
    Situation(
        "otel-gateway-api",
        otel=PAGE_SERVICES,
        lay=(BOOKINFO_API, f"{BOOKINFO_API}/reviews-v2"),
        requests=AT_GATEWAY,
    ),
)

HELLOWORLD_API = "istio/gateway-api/helloworld"
GO = (("helloworld", "go"),)


def helloworld(prefix: str, languages: Pairs) -> Iterator[Situation]:
    """The same in each language."""
    for form, otel in (("plain", ()), ("otel", ("helloworld",))):
        yield Situation(f"{prefix}-{form}", otel=otel, languages=languages)
        yield Situation(f"{prefix}-{form}-b3", otel=otel, languages=languages, lay=(B3,))
    yield Situation(f"{prefix}-gettime", languages=languages, requests=asked(path="/gettime"))


HELLOWORLD = (
    *helloworld("python", ()),
    *helloworld("go", GO),
    Situation("gateway-api", lay=(HELLOWORLD_API,), requests=asked(gateway="helloworld-gateway-istio")),
)

APPLICATIONS = (
    Application("three-tier", "meshtrail", (*PLAIN, *GATEWAY_API, *OTEL, *MIXED, *POLYGLOT)),
    Application("bookinfo", "meshtrail", BOOKINFO),
    Application("helloworld", "meshtrail", HELLOWORLD),
)
