"""AuthorizationPolicy: conditions on the request are read, every condition on the caller is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshtrail.errors import Warnings
from meshtrail.manifests import kinds, load

from .conftest import Read, Refuse

HEAD = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: database, namespace: shop}
"""


def test_everything_that_is_carried_out(read: Read) -> None:
    text = """\
spec:
  selector: {matchLabels: {app: database}}
  action: DENY
  rules:
  - to:
    - operation: {methods: [GET], notPaths: ["/healthz", "/api/*"], ports: ["8080"], hosts: ["*.example"]}
    when:
    - {key: "request.headers[x-tier]", notValues: [middle]}
    - {key: destination.port, values: ["8080"]}
"""
    (found,) = read(HEAD + text).of(kinds.AuthorizationPolicy)
    assert (found.action, found.selector) == ("DENY", {"app": "database"})
    (rule,) = found.rules
    assert rule.to == (
        (
            kinds.OneOf("host", ("*.example",)),
            kinds.OneOf("port", ("8080",)),
            kinds.OneOf("method", ("GET",)),
            kinds.OneOf("path", ("/healthz", "/api/*"), inverted=True),
        ),
    )
    assert rule.when == (
        kinds.OneOf("header", ("middle",), inverted=True, name="x-tier"),
        kinds.OneOf("port", ("8080",)),
    )


@pytest.mark.parametrize(
    ("spec", "rules"), [("", 0), ("spec: {}", 0), ("spec: {rules: [{}]}", 1), ("spec: {action: ALLOW}", 0)]
)
def test_without_a_rule_nothing_is_allowed_and_with_an_empty_one_everything(spec: str, rules: int, read: Read) -> None:
    (found,) = read(HEAD + spec).of(kinds.AuthorizationPolicy)
    assert (found.action, found.selector, len(found.rules)) == ("ALLOW", {}, rules)


@pytest.mark.parametrize(
    ("spec", "field", "part"),
    [
        ("{rules: [{from: [{source: {principals: [a]}}]}]}", "rules[0].from[0].source.principals", "no identity"),
        ("{rules: [{from: [{source: {notNamespaces: [a]}}]}]}", "rules[0].from[0].source.notNamespaces", "no identity"),
        ("{rules: [{when: [{key: source.principal, values: [a]}]}]}", "rules[0].when[0].key", "no identity"),
        ("{rules: [{when: [{key: 'request.headers[a]'}]}]}", "rules[0].when[0]", "values or notValues"),
        ("{rules: [{to: [{operation: {}}]}]}", "rules[0].to[0].operation", "needs a condition"),
        ("{rules: [{to: [{operation: {ports: [http]}}]}]}", "rules[0].to[0].operation.ports[0]", "not a port"),
        ("{rules: [{to: [{operation: {paths: ['/a/*/b']}}]}]}", "rules[0].to[0].operation.paths[0]", "elsewhere"),
        ("{rules: [{to: [{operation: {paths: ['/a/{*}']}}]}]}", "rules[0].to[0].operation.paths[0]", "template"),
        ("{action: AUDIT, rules: [{}]}", "action", "AUDIT"),
        ("{action: DENY}", "action", "needs rules"),
        ("{targetRefs: [{kind: Gateway, name: a}]}", "targetRefs", "not carried out"),
        ("{rules: [{to: [{operation: {path: [/a]}}]}]}", "rules[0].to[0].operation.path", "did you mean 'paths'"),
    ],
)
def test_mistakes_and_what_is_not_carried_out(spec: str, field: str, part: str, refuse: Refuse) -> None:
    problems = {problem.field: str(problem) for problem in refuse(f"{HEAD}spec: {spec}\n")}
    assert part in problems[f"spec.{field}"]


def test_what_asks_for_the_caller_is_not_carried_out_in_part(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"{HEAD}spec: {{action: DENY, rules: [{{from: [{{source: {{principals: [a]}}}}]}}]}}\n")
    warnings = Warnings()
    (found,) = load([file], lenient=True, warnings=warnings).of(kinds.AuthorizationPolicy)
    # Without its condition it would refuse everybody.
    assert not found.carried_out
    assert len(warnings.problems) == 1
