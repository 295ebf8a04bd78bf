"""The Gateway API: what is read of Gateway and HTTPRoute, and each mistake."""

from __future__ import annotations

import pytest

from meshtrail.manifests import Manifests, kinds

from .conftest import Read, Refuse

GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shop, namespace: shop}
spec:
  gatewayClassName: istio
  listeners:
"""
ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec:
  parentRefs: [{name: shop}]
  rules:
"""
BACKEND = "backendRefs: [{name: backend, port: 8080}]"


def rules(manifests: Manifests) -> tuple[kinds.HttpRoute, ...]:
    (found,) = manifests.of(kinds.ApiRoute)
    return found.rules


def test_a_gateway_and_its_listeners(read: Read) -> None:
    text = """\
  - {name: http, port: 80, protocol: HTTP}
  - name: example
    port: 8080
    protocol: HTTP
    hostname: "*.example"
    allowedRoutes:
      kinds: [{kind: HTTPRoute}]
      namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}
  infrastructure: {annotations: {networking.istio.io/service-type: ClusterIP}}
"""
    (found,) = read(GATEWAY + text).of(kinds.ApiGateway)
    assert found.meta.ref == "Gateway.gateway.networking.k8s.io shop/shop"
    assert found.listeners == (
        kinds.ApiListener("http", 80),
        kinds.ApiListener("example", 8080, "*.example", "Selector", {"team": "shop"}),
    )


def test_the_two_gateways_of_one_name_are_two_objects(read: Read) -> None:
    istio = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: shop}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
"""
    found = read(f"{istio}{GATEWAY}  - {{name: http, port: 80, protocol: HTTP}}\n")
    assert (len(found.of(kinds.Gateway)), len(found.of(kinds.ApiGateway))) == (1, 1)


def test_kubectl_s_name_of_the_kind_is_no_kind(refuse: Refuse) -> None:
    (problem,) = refuse(GATEWAY.replace("kind: Gateway", f"kind: {kinds.API_GATEWAY}") + "  - {name: http, port: 80}\n")
    assert problem.field == "kind"


def test_everything_that_a_rule_can_say(read: Read) -> None:
    text = """\
  - name: all
    matches:
    - path: {type: Exact, value: /one}
      method: GET
      headers: [{name: X-Tier, value: middle}, {name: x-tier, value: unheard}]
      queryParams: [{name: q, type: RegularExpression, value: "a+"}]
    - path: {value: /two/}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: X-A, value: a}], add: [{name: x-b, value: b}], remove: [x-c]}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {add: [{name: x-d, value: d}]}
    - type: RequestMirror
      requestMirror: {backendRef: {name: copy, port: 80}, fraction: {numerator: 1, denominator: 8}}
    - type: URLRewrite
      urlRewrite: {hostname: other.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
    backendRefs:
    - name: backend
      port: 8080
      weight: 3
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x-e]}}]
    - {name: later, port: 8080, weight: 0}
    timeouts: {request: 5s, backendRequest: 1s}
    retry: {attempts: 3, codes: [503]}
"""
    one, two = rules(read(ROUTE + text))
    assert (one.name, two.name) == ("all", "all")
    assert one.matches == (
        kinds.HttpMatch(
            uri=kinds.StringMatch("exact", "/one"),
            method=kinds.StringMatch("exact", "GET"),
            headers=(("x-tier", kinds.StringMatch("exact", "middle")),),
            query=(("q", kinds.StringMatch("regex", "a+")),),
            whole_segments=True,
        ),
    )
    assert two.matches == (kinds.HttpMatch(uri=kinds.StringMatch("prefix", "/two"), whole_segments=True),)
    assert one.headers.request == kinds.HeaderOperations((("x-a", "a"),), (("x-b", "b"),), ("x-c",))
    assert one.headers.response.add == (("x-d", "d"),)
    assert one.mirrors == (kinds.Mirror(kinds.Destination("copy", port=80), 12.5),)
    assert one.rewrite == kinds.Rewrite(authority="other.example", uri_regex=("^(/?)(.*)", r"/\2"))
    assert two.rewrite == kinds.Rewrite(authority="other.example", uri_regex=("^/two(/?)(.*)", r"/\2"))
    (backend,) = one.route
    assert (backend.destination, backend.weight) == (kinds.Destination("backend", port=8080), 3)
    assert backend.headers.request.remove == ("x-e",)
    assert (one.timeout, one.missing_backend_status) == (5.0, 500)
    assert one.retries == kinds.Retries(3, 1.0, "connect-failure,refused-stream,unavailable,cancelled,503")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  - {}\n", kinds.DirectResponse(500)),
        (f"  - {BACKEND}\n", None),
    ],
)
def test_a_rule_without_backends_answers_500(text: str, expected: object, read: Read) -> None:
    (found,) = rules(read(ROUTE + text))
    assert found.direct_response == expected
    assert found.name == "shop.shop.0"
    assert found.matches == (kinds.HttpMatch(uri=kinds.StringMatch("prefix", "/")),)


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        ("{}", kinds.Redirect(code=302, port_of_request=True)),
        ("{scheme: https}", kinds.Redirect(code=302, scheme="https")),
        ("{port: 8443, statusCode: 301}", kinds.Redirect(code=301, port=8443)),
        (
            "{hostname: a.example, path: {type: ReplaceFullPath, replaceFullPath: /new}}",
            kinds.Redirect(code=302, authority="a.example", uri="/new", port_of_request=True),
        ),
        (
            "{path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}",
            kinds.Redirect(code=302, prefix="/new", port_of_request=True),
        ),
    ],
)
def test_redirects(redirect: str, expected: kinds.Redirect, read: Read) -> None:
    (found,) = rules(read(f"{ROUTE}  - filters: [{{type: RequestRedirect, requestRedirect: {redirect}}}]\n"))
    assert found.redirect == expected
    assert found.direct_response is None


def test_parents(read: Read) -> None:
    text = f"""\
apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata: {{name: shop, namespace: shop}}
spec:
  hostnames: [shop.example, "*.shop.example"]
  parentRefs:
  - {{name: web, namespace: edge, sectionName: http, port: 80}}
  - {{group: "", kind: Service, name: backend}}
  rules: [{{{BACKEND}}}]
"""
    (found,) = read(text).of(kinds.ApiRoute)
    assert found.hostnames == ("shop.example", "*.shop.example")
    assert found.parents == (
        kinds.ParentRef("Gateway", "web", "edge", "http", 80),
        kinds.ParentRef("Service", "backend", "shop"),
    )


@pytest.mark.parametrize(
    ("text", "field", "part"),
    [
        ("  - {name: http, port: 80, protocol: HTTPS}\n", "listeners[0].protocol", "HTTPS is not carried out"),
        ("  - {name: http, port: 80, protocol: HTTP, hostname: 'a b'}\n", "listeners[0].hostname", "not a host name"),
        ("  - {name: Http, port: 80, protocol: HTTP}\n", "listeners[0].name", "is not a name"),
        (
            "  - {name: a, port: 80, protocol: HTTP}\n  - {name: a, port: 81, protocol: HTTP}\n",
            "listeners",
            "two listeners",
        ),
        ("  - {name: a, port: 80, protocol: HTTP, tls: {}}\n", "listeners[0].tls", "not carried out"),
        (
            "  - {name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}\n",
            "listeners[0].allowedRoutes.kinds",
            "without HTTPRoutes",
        ),
        ("  - {name: a, port: 80, protocol: HTTP}\n  adresses: []\n", "adresses", "did you mean 'addresses'"),
    ],
)
def test_mistakes_in_a_gateway(text: str, field: str, part: str, refuse: Refuse) -> None:
    (problem,) = refuse(GATEWAY + text)
    assert problem.field == f"spec.{field}"
    assert part in str(problem)


def test_a_gateway_of_another_class(refuse: Refuse) -> None:
    text = GATEWAY.replace("istio\n", "istio-waypoint\n") + "  - {name: mesh, port: 15008, protocol: HBONE}\n"
    assert {problem.field for problem in refuse(text)} == {"spec.gatewayClassName", "spec.listeners[0].protocol"}


@pytest.mark.parametrize(
    ("rule", "field", "part"),
    [
        ("backendRefs: [{name: a}]", "backendRefs[0].port", "is required"),
        ("backendRefs: [{name: a.b, port: 80}]", "backendRefs[0].name", "not the name of a Service"),
        ("backendRefs: [{name: a, port: 80, namespace: b}]", "backendRefs[0].namespace", "another namespace"),
        ("backendRefs: [{name: a, port: 80, kind: Bucket}]", "backendRefs[0].kind", "kind Bucket"),
        (f"matches: [{{path: {{value: api}}}}], {BACKEND}", "matches[0].path.value", "must begin with /"),
        (f"matches: [{{method: get}}], {BACKEND}", "matches[0].method", "did you mean 'GET'"),
        (f"matches: [{{headers: [{{name: 'a b', value: c}}]}}], {BACKEND}", "matches[0].headers[0]", "header name"),
        (f"filters: [{{type: CORS, cors: {{}}}}], {BACKEND}", "filters[0].cors", "not carried out"),
        (f"filters: [{{type: ExtensionRef}}], {BACKEND}", "filters[0].type", "filter ExtensionRef"),
        (f"filters: [{{type: URLRewrite}}], {BACKEND}", "filters[0].urlRewrite", "is required"),
        (
            f"filters: [{{type: RequestRedirect, requestRedirect: {{}}}}], {BACKEND}",
            "backendRefs",
            "has no backends",
        ),
        (f"sessionPersistence: {{}}, {BACKEND}", "sessionPersistence", "consistentHash"),
        (f"timeouts: {{request: 1s, backendRequest: 2s}}, {BACKEND}", "timeouts.backendRequest", "longer than"),
        (
            "backendRefs: [{name: a, port: 80, filters: [{type: URLRewrite, urlRewrite: {hostname: b}}]}]",
            "backendRefs[0].filters",
            "of a single backend",
        ),
    ],
)
def test_mistakes_in_a_rule(rule: str, field: str, part: str, refuse: Refuse) -> None:
    (problem,) = refuse(f"{ROUTE}  - {{{rule}}}\n")
    assert problem.field == f"spec.rules[0].{field}"
    assert part in str(problem)


def test_a_service_as_parent_needs_its_empty_group(refuse: Refuse) -> None:
    text = ROUTE.replace("{name: shop}]", "{kind: Service, name: backend}]") + f"  - {BACKEND}\n"
    (problem,) = refuse(text)
    assert problem.mend == 'add group: ""'
