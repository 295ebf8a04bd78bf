"""Requests of applications that people know, as they look in their Jaeger.

Online Boutique: GoogleCloudPlatform/microservices-demo, src/*/main.go and its kin. HotROD: jaegertracing/jaeger,
examples/hotrod/services. The OpenTelemetry demo: open-telemetry/opentelemetry-demo, src/*.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from tests.doctor.foreign.spans import S, Value


def sdk(language: str) -> dict[str, Value]:
    return {
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": language,
        "telemetry.sdk.version": "1.38.0",
    }


LANGUAGES = {
    "frontend": "go", "checkoutservice": "go", "productcatalogservice": "go", "currencyservice": "nodejs",
    "paymentservice": "nodejs", "emailservice": "python", "recommendationservice": "python",
}  # fmt: skip
"""Online Boutique's services that are traced; cartservice, adservice and shippingservice are not."""


# -- Online Boutique ---------------------------------------------------------------------------------------------------


def grpc(caller: str, called: str, service: str, method: str, *below: S, error: bool = False) -> S:
    """A call with OpenTelemetry's gRPC instrumentation at both ends; one alone where the called one has no SDK."""
    tags: Mapping[str, Value] = {
        "rpc.system": "grpc", "rpc.service": f"hipstershop.{service}", "rpc.method": method,
        "rpc.grpc.status_code": 13 if error else 0, "net.sock.peer.addr": "10.96.14.3",
    }  # fmt: skip
    name = f"hipstershop.{service}/{method}"
    server = S(called, name, "server", list(below), tags, sdk(LANGUAGES.get(called, "go")), error=error)
    return S(
        caller, name, "client", [server] if called in LANGUAGES else [], tags, sdk(LANGUAGES[caller]), error=error,
        us=600,
    )  # fmt: skip


def boutique_home(chance: random.Random) -> S:
    currencies = grpc("frontend", "currencyservice", "CurrencyService", "GetSupportedCurrencies")
    products = grpc("frontend", "productcatalogservice", "ProductCatalogService", "ListProducts")
    cart = grpc("frontend", "cartservice", "CartService", "GetCart")
    prices = [grpc("frontend", "currencyservice", "CurrencyService", "Convert") for _ in range(chance.randint(2, 9))]
    ads = grpc("frontend", "adservice", "AdService", "GetAds", error=chance.random() < 0.05)
    return boutique_page("/", currencies, products, cart, *prices, ads)


def boutique_checkout(chance: random.Random) -> S:
    product = grpc("checkoutservice", "productcatalogservice", "ProductCatalogService", "GetProduct")
    order = grpc(
        "frontend", "checkoutservice", "CheckoutService", "PlaceOrder",
        grpc("checkoutservice", "cartservice", "CartService", "GetCart"),
        *(product for _ in range(chance.randint(1, 3))),
        grpc("checkoutservice", "shippingservice", "ShippingService", "GetQuote"),
        grpc("checkoutservice", "currencyservice", "CurrencyService", "Convert"),
        grpc("checkoutservice", "paymentservice", "PaymentService", "Charge"),
        grpc("checkoutservice", "emailservice", "EmailService", "SendOrderConfirmation"),
    )  # fmt: skip
    listed = grpc("recommendationservice", "productcatalogservice", "ProductCatalogService", "ListProducts")
    recommended = grpc("frontend", "recommendationservice", "RecommendationService", "ListRecommendations", listed)
    return boutique_page("/cart/checkout", order, recommended)


def boutique_page(path: str, *calls: S) -> S:
    tags: Mapping[str, Value] = {
        "http.method": "GET", "http.target": path, "http.status_code": 200, "http.scheme": "http",
        "net.host.name": "frontend", "user_agent.original": "python-requests/2.32",
    }  # fmt: skip
    return S("frontend", "frontend", "server", list(calls), tags, sdk("go"))


def boutique_in_mesh(chance: random.Random, *, forwards: bool = True) -> S:
    """Behind Istio's sidecars, with tracing off in the services: gRPC over HTTP/2, spans of Envoy alone.

    Its services copy no headers, so each call is a trace of its own unless `forwards`.
    """

    def served(app: str, port: int, *calls: S) -> S:
        return S(
            f"{app}.boutique", f"{app}.boutique.svc.cluster.local:{port}/*", "server", list(calls),
            envoy(app, "inbound|" + str(port) + "||", f"/hipstershop.{app}/Get"), us=300,
        )  # fmt: skip

    def call(caller: str, app: str, port: int, *calls: S) -> S:
        return S(
            f"{caller}.boutique", f"{app}.boutique.svc.cluster.local:{port}/*", "client", [served(app, port, *calls)],
            envoy(caller, f"outbound|{port}||{app}.boutique.svc.cluster.local", f"/hipstershop.{app}/Get"),
            trace=not forwards, us=300,
        )  # fmt: skip

    order = call(
        "frontend", "checkoutservice", 5050,
        call("checkoutservice", "cartservice", 7070), call("checkoutservice", "paymentservice", 50051),
    )  # fmt: skip
    calls = [call("frontend", "productcatalogservice", 3550), call("frontend", "currencyservice", 7000)]
    page = served("frontend", 8080, *calls, *([order] if chance.random() < 0.4 else []))
    to = "outbound|80||frontend.boutique.svc.cluster.local"
    router = S(
        "istio-ingressgateway.istio-system", f"router {to}; egress", "client", [page],
        {"component": "proxy", "upstream_cluster": to, "http.status_code": "200", "response_flags": "-"},
    )  # fmt: skip
    gateway = {**envoy("istio-ingressgateway", to, "/"), "node_id": "router~10.0.0.2~gw-1.istio-system~istio-system"}
    return S(
        "istio-ingressgateway.istio-system", "frontend.boutique.svc.cluster.local:80/*", "server", [router], gateway
    )


def boutique_in_mesh_as_it_is(chance: random.Random) -> S:
    return boutique_in_mesh(chance, forwards=False)


def envoy(app: str, cluster: str, path: str) -> dict[str, Value]:
    return {
        "component": "proxy", "node_id": f"sidecar~10.0.0.7~{app}-1.boutique~boutique.svc.cluster.local",
        "upstream_cluster": cluster, "http.method": "POST", "http.protocol": "HTTP/2", "http.status_code": "200",
        "http.url": f"http://{app}{path}", "grpc.status_code": "0", "response_flags": "-",
        "istio.canonical_service": app, "istio.canonical_revision": "latest", "istio.namespace": "boutique",
        "user_agent": "grpc-go/1.76.0",
    }  # fmt: skip


# -- HotROD ------------------------------------------------------------------------------------------------------------


def hotrod(chance: random.Random) -> S:
    """`mysql` and `redis-manual` are service names of one process; a redis that times out is part of the show."""

    def http(caller: str, called: str, path: str, *below: S) -> S:
        tags: Mapping[str, Value] = {
            "http.method": "GET", "http.url": f"http://0.0.0.0:8083{path}", "net.peer.name": "0.0.0.0",
            "net.peer.port": 8083, "http.status_code": 200,
        }  # fmt: skip
        server = S(called, path.partition("?")[0], "server", list(below), {**tags, "http.target": path}, go)
        return S(caller, "HTTP GET", "client", [server], tags, go)

    go = sdk("go")
    rpc: Mapping[str, Value] = {
        "rpc.system": "grpc",
        "rpc.service": "driver.DriverService",
        "rpc.method": "FindNearest",
    }
    sql = S("mysql", "SQL SELECT", "client", [], {"peer.service": "mysql", "sql.query": "SELECT * FROM customer"}, go)
    redis = [S("redis-manual", "FindDriverIDs", "client", [], {"param.driver.location": "115,277"}, go)]
    for _ in range(10):
        failed = chance.random() < 0.2
        redis.append(S("redis-manual", "GetDriver", "client", [], {"param.driverID": "T7"}, go, error=failed))
    routes = [http("frontend", "route", "/route?dropoff=115%2C277&pickup=1%2C2") for _ in range(10)]
    return S(
        "frontend", "/dispatch", "server",
        [
            http("frontend", "customer", "/customer?customer=123", sql),
            S("frontend", "driver.DriverService/FindNearest", "client",
              [S("driver", "driver.DriverService/FindNearest", "server", redis, rpc, go)], rpc, go),
            S("frontend", "pool", "internal", routes, {}, go, parallel=True),
        ],
        {"http.method": "GET", "http.target": "/dispatch?customer=123", "http.status_code": 200}, go,
    )  # fmt: skip


# -- The OpenTelemetry demo --------------------------------------------------------------------------------------------


def demo_browse(chance: random.Random) -> S:
    """A browser's spans, the Envoy in front, and Node's frontend behind it."""
    products = rpc(
        "frontend",
        "nodejs",
        "product-catalog",
        "go",
        "oteldemo.ProductCatalogService/ListProducts",
        S("product-catalog", "SELECT products", "client", [], {"db.system.name": "postgresql"}, sdk("go")),
    )
    flag = rpc("product-catalog", "go", "flagd", "go", "flagd.evaluation.v1.Service/ResolveBoolean")
    products.children[0].children.append(flag)
    page = proxied("/api/products", api_route("/api/products", products))
    fetch = S("frontend-web", "GET", "client", [page], web("/api/products"), browser(), us=9_000)
    return S("frontend-web", "documentFetch" if chance.random() < 0.5 else "click", "internal", [fetch], {}, browser())


def demo_load(chance: random.Random) -> S:
    """The load generator: Python, its CLIENT spans are roots by right; health checks of the collector beside it."""
    ads = rpc("frontend", "nodejs", "ad", "java", "oteldemo.AdService/GetAds")
    page = proxied("/api/data", api_route("/api/data", ads))
    call = S("load-generator", "GET", "client", [page], http_tags("GET", "/api/data"), sdk("python"))
    return S("load-generator", "user_get_ads", "internal", [call], {}, sdk("python"))


def demo_order(chance: random.Random, *, linked: bool = False) -> S:
    """An order: gRPC, HTTP, and a Kafka topic with two consumers, below the producer or only linked to it."""
    publish = S("checkout", "orders publish", "producer", [
        consumed("accounting", "dotnet", linked), consumed("fraud-detection", "java", linked),
    ], {"messaging.system": "kafka", "messaging.destination.name": "orders", "messaging.operation.type": "send"},
        sdk("go"))  # fmt: skip
    quote = http_call("shipping", "rust", "quote", "php", "/getquote")
    place = rpc(
        "frontend", "nodejs", "checkout", "go", "oteldemo.CheckoutService/PlaceOrder",
        S("checkout", "prepareOrderItemsAndShippingQuoteFromCart", "internal", [
            rpc("checkout", "go", "cart", "dotnet", "oteldemo.CartService/GetCart",
                S("cart", "HGET", "client", [], {"db.system": "redis"}, sdk("dotnet"))),
            http_call("checkout", "go", "shipping", "rust", "/get-quote", quote),
        ], {}, sdk("go")),
        rpc("checkout", "go", "payment", "nodejs", "oteldemo.PaymentService/Charge"),
        http_call("checkout", "go", "email", "ruby", "/send_order_confirmation"),
        publish,
    )  # fmt: skip
    return proxied("/api/checkout", api_route("/api/checkout", place))


def demo_order_linked(chance: random.Random) -> S:
    return demo_order(chance, linked=True)


def demo_lost_browser(chance: random.Random) -> S:
    """A page that was closed before its spans were sent: the Envoy's parent is missing."""
    return replace(demo_browse(chance), lost=True, children=[replace(demo_browse(chance).children[0], lost=True)])


def demo_wrong_clock(chance: random.Random) -> S:
    """A browser whose clock is five minutes fast."""
    root = demo_browse(chance)
    fast = 300_000_000
    return replace(root, skew_us=fast, children=[replace(child, skew_us=fast) for child in root.children])


def browser() -> dict[str, Value]:
    return {**sdk("webjs"), "user_agent.original": "Mozilla/5.0", "browser.language": "en-US"}


def web(path: str) -> dict[str, Value]:
    return {
        "component": "fetch", "http.method": "GET", "http.url": f"http://shop.example:8080{path}",
        "http.host": "shop.example:8080", "http.status_code": 200, "http.scheme": "http",
    }  # fmt: skip


def proxied(path: str, below: S) -> S:
    """The demo's frontend-proxy: an Envoy of no mesh, with its upstream spans."""
    tags: dict[str, Value] = {
        "component": "proxy", "node_id": "", "zone": "", "http.method": "GET", "http.protocol": "HTTP/1.1",
        "http.url": f"http://shop.example:8080{path}", "http.status_code": "200", "response_flags": "-",
        "upstream_cluster": "frontend", "upstream_cluster.name": "frontend", "peer.address": "172.18.0.9",
        "guid:x-request-id": "0b6e1de6-5f43-9c1f-8c6f-3a3ec05c9e11", "user_agent": "Mozilla/5.0",
    }  # fmt: skip
    router: dict[str, Value] = {
        "component": "proxy", "upstream_cluster": "frontend", "upstream_cluster.name": "frontend",
        "http.status_code": "200", "response_flags": "-", "http.protocol": "HTTP/1.1",
    }  # fmt: skip
    egress = S("frontend-proxy", "router frontend egress", "client", [below], router, {"service.version": "2.1"})
    return S("frontend-proxy", "ingress", "server", [egress], tags, {"service.version": "2.1"})


def api_route(path: str, *below: S) -> S:
    inner = S(
        "frontend", f"executing api route (pages) {path}", "internal", list(below), {"next.route": path}, sdk("nodejs")
    )
    nested = S(
        "frontend", f"GET {path}", "server", [inner], {"next.span_type": "BaseServer.handleRequest"}, sdk("nodejs")
    )
    return S("frontend", "GET", "server", [nested], http_tags("GET", path), sdk("nodejs"))


def http_tags(method: str, path: str, host: str = "frontend") -> dict[str, Value]:
    return {
        "http.request.method": method, "url.path": path, "url.full": f"http://{host}:8080{path}",
        "server.address": host, "server.port": 8080, "http.response.status_code": 200,
    }  # fmt: skip


def http_call(caller: str, language: str, called: str, theirs: str, path: str, *below: S) -> S:
    server = S(called, f"POST {path}", "server", list(below), http_tags("POST", path, called), sdk(theirs))
    return S(caller, "HTTP POST", "client", [server], http_tags("POST", path, called), sdk(language))


def rpc(caller: str, language: str, called: str, theirs: str, name: str, *below: S) -> S:
    service, _, method = name.partition("/")
    tags: Mapping[str, Value] = {
        "rpc.system": "grpc", "rpc.service": service, "rpc.method": method, "rpc.grpc.status_code": 0,
        "server.address": called, "server.port": 8080,
    }  # fmt: skip
    server = S(called, name, "server", list(below), tags, sdk(theirs))
    return S(caller, f"grpc.{name}" if language == "nodejs" else name, "client", [server], tags, sdk(language))


def consumed(service: str, language: str, linked: bool) -> S:
    tags: Mapping[str, Value] = {
        "messaging.system": "kafka", "messaging.destination.name": "orders", "messaging.operation.type": "process",
        "messaging.kafka.consumer.group": service,
    }  # fmt: skip
    saved = S(service, "INSERT accounting", "client", [], {"db.system.name": "postgresql"}, sdk(language))
    return S(
        service, "orders process", "consumer", [saved], tags, sdk(language), trace=linked, linked=linked,
        later_us=40_000,
    )  # fmt: skip
