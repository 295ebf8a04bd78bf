"""VirtualService: what is read, and each mistake with its near miss."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshtrail.errors import ManifestError, Warnings
from meshtrail.manifests import Manifests, kinds, load

from .conftest import Read, Refuse

HEAD = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: backend, namespace: shop}
spec:
  hosts: [backend]
  http:
"""


def route(manifests: Manifests) -> kinds.HttpRoute:
    (found,) = manifests.of(kinds.VirtualService)
    return found.http[0]


def test_everything_that_is_carried_out(read: Read) -> None:
    text = """\
  - name: all
    match:
    - name: one
      uri: {prefix: /api}
      ignoreUriCase: true
      method: {exact: GET}
      authority: {regex: "backend.*"}
      scheme: {exact: http}
      headers: {end-user: {exact: jason}, x-any: {}}
      withoutHeaders: {x-not: {prefix: a}}
      queryParams: {debug: {exact: "1"}}
      port: 8080
      gateways: [mesh]
      sourceLabels: {app: frontend}
      sourceNamespace: shop
      statPrefix: unused
    route:
    - destination: {host: backend, subset: v1, port: {number: 8080}}
      weight: 90
      headers: {response: {set: {x-version: v1}}}
    - destination: {host: backend, subset: v2}
      weight: 10
    rewrite: {uriRegexRewrite: {match: "^/api/(.*)$", rewrite: '/\\1'}, authority: other}
    timeout: 1.5s
    retries: {attempts: 2, perTryTimeout: 500ms, retryOn: "5xx,503", retryRemoteLocalities: true}
    fault:
      delay: {fixedDelay: 1m, percentage: {value: 12.5}}
      abort: {httpStatus: 503, percentage: {value: 1}}
    mirrors:
    - destination: {host: shadow}
      percentage: {value: 50}
    headers: {request: {set: {a: b}, add: {c: d}, remove: [e]}}
"""
    found = route(read(HEAD + text))
    assert found.field == "spec.http[0]"
    assert found.name == "all"
    assert found.matches == (
        kinds.HttpMatch(
            name="one",
            uri=kinds.StringMatch("prefix", "/api"),
            ignore_uri_case=True,
            method=kinds.StringMatch("exact", "GET"),
            authority=kinds.StringMatch("regex", "backend.*"),
            scheme=kinds.StringMatch("exact", "http"),
            headers=(("end-user", kinds.StringMatch("exact", "jason")), ("x-any", kinds.StringMatch("present"))),
            without_headers=(("x-not", kinds.StringMatch("prefix", "a")),),
            query=(("debug", kinds.StringMatch("exact", "1")),),
            port=8080,
            gateways=("mesh",),
            source_labels={"app": "frontend"},
            source_namespace="shop",
        ),
    )
    response = kinds.Headers(response=kinds.HeaderOperations(set=(("x-version", "v1"),)))
    assert found.route == (
        kinds.RouteDestination(kinds.Destination("backend", "v1", 8080), 90, response),
        kinds.RouteDestination(kinds.Destination("backend", "v2"), 10),
    )
    assert found.rewrite == kinds.Rewrite(authority="other", uri_regex=("^/api/(.*)$", "/\\1"))
    assert found.timeout == 1.5
    assert found.retries == kinds.Retries(2, 0.5, "5xx,503", True)
    assert found.delay == kinds.FaultDelay(60.0, 12.5)
    assert found.abort == kinds.FaultAbort(503, 1.0)
    assert found.mirrors == (kinds.Mirror(kinds.Destination("shadow"), 50.0),)
    assert found.headers.request == kinds.HeaderOperations((("a", "b"),), (("c", "d"),), ("e",))


def test_defaults(read: Read) -> None:
    manifests = read(HEAD + "  - route: [{destination: {host: backend}}]\n")
    (found,) = manifests.of(kinds.VirtualService)
    assert found.gateways == ("mesh",)
    assert found.http[0].timeout is None
    assert found.http[0].retries is None
    assert found.http[0].route[0].weight == 0


@pytest.mark.parametrize(
    ("fields", "mirrors"),
    [
        ("mirror: {host: b}", 100.0),
        ("mirror: {host: b}, mirrorPercentage: {value: 5}", 5.0),
        ("mirror: {host: b}, mirrorPercent: 7", 7.0),
        ("mirror: {host: b}, mirror_percent: 8", 8.0),
        ("mirror: {host: b}, mirrorPercentage: {}", 0.0),
    ],
)
def test_older_ways_to_say_how_much_is_mirrored(read: Read, fields: str, mirrors: float) -> None:
    found = route(read(HEAD + f"  - {{route: [{{destination: {{host: backend}}}}], {fields}}}\n"))
    assert found.mirrors == (kinds.Mirror(kinds.Destination("b"), mirrors),)


def test_delay_without_percentage_is_every_request(read: Read) -> None:
    text = "  - {{route: [{{destination: {{host: backend}}}}], fault: {{delay: {{fixedDelay: 1s{}}}}}}}\n"
    assert route(read(HEAD + text.format(""))).delay == kinds.FaultDelay(1.0, 100.0)
    assert route(read(HEAD + text.format(", percent: 5"))).delay == kinds.FaultDelay(1.0, 5.0)


def test_redirect_and_direct_response(read: Read) -> None:
    found = route(
        read(HEAD + "  - redirect: {uri: /new, authority: a, scheme: https, port: 8443, redirectCode: 302}\n")
    )
    assert found.redirect == kinds.Redirect("/new", "a", "https", 8443, 302)
    found = route(read(HEAD + "  - directResponse: {status: 404, body: {string: gone}}\n"))
    assert found.direct_response == kinds.DirectResponse(404, "gone")


# Each row: what is wrong, the field that the problem names, a part of the message, and the same without the mistake.
ROUTE = "route: [{destination: {host: backend}}]"
MISTAKES = [
    ("rout: []", "spec.http[0].rout", "unknown field 'rout'", "name: route"),
    ("Timeout: 1s", "spec.http[0].Timeout", "unknown field", "timeout: 1s"),
    ("timeout: 1 sec", "spec.http[0].timeout", "is not a duration", "timeout: 1s"),
    ("timeout: 5", "spec.http[0].timeout", "must be a duration", "timeout: 5s"),
    ("timeout: -1s", "spec.http[0].timeout", "is not a duration", "timeout: 0s"),
    ("retries: {attempts: -1}", "spec.http[0].retries.attempts", "out of range", "retries: {attempts: 0}"),
    ("retries: {attempts: 1.5}", "spec.http[0].retries.attempts", "whole number", "retries: {attempts: 1}"),
    ("retries: {attempts: '1'}", "spec.http[0].retries.attempts", "not the string '1'", "retries: {attempts: 1}"),
    (
        "retries: {attempts: 1, retryOn: 5x}",
        "spec.http[0].retries.retryOn",
        "'5x' is not a retry condition",
        "retries: {attempts: 1, retryOn: 'gateway-error, 500'}",
    ),
    (
        "retries: {attempts: 0, retryOn: 5xx}",
        "spec.http[0].retries.attempts",
        "switches retries off",
        "retries: {attempts: 1, retryOn: 5xx}",
    ),
    (
        "fault: {delay: {fixedDelay: 1s, percentage: {value: 101}}}",
        "spec.http[0].fault.delay.percentage.value",
        "out of range, allowed: 0.0 to 100.0",
        "fault: {delay: {fixedDelay: 1s, percentage: {value: 100}}}",
    ),
    (
        "fault: {delay: {fixedDelay: 0.1ms}}",
        "spec.http[0].fault.delay.fixedDelay",
        "too short",
        "fault: {delay: {fixedDelay: 1ms}}",
    ),
    ("fault: {}", "spec.http[0].fault", "needs delay or abort", "fault: {abort: {httpStatus: 500}}"),
    (
        "fault: {abort: {httpStatus: 600}}",
        "spec.http[0].fault.abort.httpStatus",
        "out of range",
        "fault: {abort: {httpStatus: 599}}",
    ),
    ("fault: {abort: {}}", "spec.http[0].fault.abort.httpStatus", "is required", "fault: {abort: {httpStatus: 200}}"),
    (
        "match: [{uri: {regex: '['}}]",
        "spec.http[0].match[0].uri.regex",
        "not a regular",
        "match: [{uri: {regex: 'a'}}]",
    ),
    (
        "match: [{uri: {regex: 'a(?=b)'}}]",
        "spec.http[0].match[0].uri.regex",
        "look-around",
        "match: [{uri: {regex: 'a(?:b)'}}]",
    ),
    (
        "match: [{uri: {exact: /a, prefix: /b}}]",
        "spec.http[0].match[0].uri.prefix",
        "only one of exact, prefix",
        "match: [{uri: {exact: /a}}]",
    ),
    ("match: [{uri: {}}]", "spec.http[0].match[0].uri", "needs one of", "match: [{headers: {a: {}}}]"),
    ("match: [{uri: /a}]", "spec.http[0].match[0].uri", "must be a mapping", "match: [{uri: {exact: /a}}]"),
    ("match: {uri: {exact: /a}}", "spec.http[0].match", "must be a list", "match: [{uri: {exact: /a}}]"),
    ("match: [{port: 70000}]", "spec.http[0].match[0].port", "out of range, allowed: 1 to 65535", "match: [{port: 1}]"),
    (
        "match: [{headers: {'a b': {exact: x}}}]",
        "spec.http[0].match[0].headers.a b",
        "not a header name",
        "match: [{headers: {a-b: {exact: x}}}]",
    ),
    (
        "headers: {request: {set: {a: 1}}}",
        "spec.http[0].headers.request.set.a",
        "must be a string",
        "headers: {request: {set: {a: '1'}}}",
    ),
    ("name: on", "spec.http[0].name", "must be a string, not the boolean true", "name: 'on'"),
    ("rewrite: {}", "spec.http[0].rewrite", "needs one of", "rewrite: {authority: a}"),
    ("mirrorPercentage: {value: 5}", "spec.http[0].mirrorPercentage", "without mirror", "name: x"),
]


@pytest.mark.parametrize(("wrong", "field", "part", "right"), MISTAKES)
def test_mistake_and_near_miss(read: Read, refuse: Refuse, wrong: str, field: str, part: str, right: str) -> None:
    problems = refuse(HEAD + f"  - {ROUTE}\n    {wrong}\n")
    assert [problem.field for problem in problems] == [field]
    assert part in problems[0].message
    assert problems[0].object == "VirtualService shop/backend"
    assert problems[0].line == 8
    read(HEAD + f"  - {ROUTE}\n    {right}\n")


@pytest.mark.parametrize(
    ("routes", "part"),
    [
        ("[]", "must not be empty"),
        ("[{name: a}]", "needs one of route, redirect, directResponse"),
        ("[{route: [{destination: {host: a}}], redirect: {uri: /}}]", "only one of route, redirect"),
        ("[{route: [{destination: {host: a}}, {destination: {host: b}}]}]", "must sum to more than 0"),
        ("[{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}}]}]", "must sum to more than 0"),
        ("[{route: [{destination: {host: a}, weight: -1}]}]", "-1 is out of range"),
        ("[{route: [{destination: {host: '*.a'}}]}]", "without wildcard"),
        ("[{route: [{}]}]", "is required"),
        ("[{redirect: {redirectCode: 305}}]", "305 is not one of"),
        ("[{redirect: {uri: /}, rewrite: {uri: /}}]", "cannot rewrite"),
        ("[{directResponse: {status: 100}}]", "out of range"),
        ("[a]", "must be a mapping, not the string 'a'"),
        ("[{redirect: {uri: /}, headers: {response: {set: {host: a}}}}]", "host cannot be set here"),
        ("[{redirect: {uri: /}, headers: {request: {set: {':path': /}}}}]", ":path cannot be set here"),
        ("[{redirect: {uri: /}, headers: {request: {remove: [Host]}}}]", "Host cannot be removed"),
    ],
)
def test_wrong_routes(refuse: Refuse, routes: str, part: str) -> None:
    assert any(part in problem.message for problem in refuse(HEAD.rstrip() + f" {routes}\n"))


def test_the_nearest_known_name_is_offered(refuse: Refuse) -> None:
    (problem,) = refuse(HEAD + f"  - {ROUTE}\n    retry: {{attempts: 1}}\n")
    assert problem.mend == "did you mean 'retries'?"
    (problem,) = refuse(HEAD + f"  - {ROUTE}\n    zzzzzz: 1\n")
    assert problem.mend.startswith("known here: ")


@pytest.mark.parametrize(
    "refused",
    [
        "corsPolicy: {allowMethods: [GET]}",
        "retries: {attempts: 1, backoff: 1s}",
        "fault: {abort: {grpcStatus: UNAVAILABLE}}",
        "fault: {delay: {exponentialDelay: 1s}}",
    ],
)
def test_not_carried_out_is_an_error_and_lenient_a_warning(refuse: Refuse, tmp_path: Path, refused: str) -> None:
    text = HEAD + f"  - {ROUTE}\n    {refused}\n"
    (problem,) = refuse(text)
    assert "is not carried out by the local mesh" in problem.message
    assert problem.mend
    path = tmp_path / "manifest.yaml"
    warnings = Warnings()
    assert len(load([path], lenient=True, warnings=warnings)) == 1
    assert [warning.field for warning in warnings.problems] == [problem.field]
    # A typing error stays an error.
    path.write_text(text.replace("host:", "hots:"))
    with pytest.raises(ManifestError, match="unknown field 'hots'"):
        load([path], lenient=True)


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_tcp_and_tls_routes_are_refused(refuse: Refuse, kind: str) -> None:
    text = HEAD.replace("http:", f"{kind}:") + "  - route: [{destination: {host: backend}}]\n"
    (problem,) = refuse(text)
    assert problem.field == f"spec.{kind}"


def test_a_single_destination_may_have_any_weight(read: Read) -> None:
    assert route(read(HEAD + "  - route: [{destination: {host: backend}, weight: 0}]\n")).route[0].weight == 0


def test_star_needs_a_gateway(read: Read, refuse: Refuse) -> None:
    text = HEAD.replace("hosts: [backend]", 'hosts: ["*"]') + f"  - {ROUTE}\n"
    assert "only be used with a gateway" in refuse(text)[0].message
    read(text.replace("spec:\n", "spec:\n  gateways: [three-tier]\n"))


def test_every_problem_is_told_at_once(refuse: Refuse) -> None:
    problems = refuse(HEAD + f"  - {ROUTE}\n    timeout: x\n    retries: {{attempts: x}}\n    zzz: 1\n")
    assert {problem.field for problem in problems} == {
        "spec.http[0].timeout",
        "spec.http[0].retries.attempts",
        "spec.http[0].zzz",
    }
