"""Suppressions: what they keep quiet, and when they are reported themselves."""

from __future__ import annotations

import pytest
from tests.lint.support import DEPLOYMENT, NAMESPACE, SERVICE, found, run

UNNAMED = SERVICE.replace("name: http, ", "")


def ignoring(text: str, document: str = UNNAMED) -> str:
    place = "namespace: shop, annotations: {meshtrail.dev/lint-ignore: " + text + "}}"
    return document.replace("namespace: shop}", place)


@pytest.mark.parametrize(
    "text",
    [
        '"port-protocol: it is on purpose"',
        '"port-mismatch, port-protocol: both are on purpose"',
        '"port-mismatch: one; port-protocol: other"',
        '"port-mismatch: one\\nport-protocol: other: with a colon"',
    ],
)
def test_it_keeps_its_rules_quiet(text: str) -> None:
    report = run(NAMESPACE, ignoring(text), DEPLOYMENT)
    assert [one for one in report.findings if one.level != "note"] == []
    assert report.suppressed == 1


def test_it_holds_for_its_object_only() -> None:
    other = UNNAMED.replace("cart", "orders")
    report = run(NAMESPACE, ignoring('"port-protocol: here"'), DEPLOYMENT, other, DEPLOYMENT.replace("cart", "orders"))
    assert [(one.rule, one.object) for one in report.findings] == [("port-protocol", "Service shop/orders")]


def test_on_the_pod_template_it_holds_for_the_workload() -> None:
    bad = DEPLOYMENT.replace("spec: {containers", "spec: {hostNetwork: true, containers")
    assert [one.rule for one in run(NAMESPACE, SERVICE, bad).findings] == ["host-network"]
    said = "{labels: {app: cart}, annotations: {meshtrail.dev/lint-ignore: 'host-network: needs the node'}}"
    assert run(NAMESPACE, SERVICE, bad.replace("{labels: {app: cart}}", said)).findings == ()


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        ('"port-protocol"', "warning", "gives no reason for ignoring port-protocol"),
        ('"port-protocl: x"', "warning", "there is no rule 'port-protocl'"),
        ('"port-mismatch: x"', "note", "nothing to ignore"),
    ],
)
def test_it_is_reported_itself(text: str, level: str, words: str) -> None:
    (one,) = found("suppression", NAMESPACE, ignoring(text), DEPLOYMENT)
    assert one.level == level
    assert words in one.text
    assert one.object == "Service shop/cart"
    assert one.line > 0


def test_without_a_reason_it_still_keeps_quiet() -> None:
    # One finding is enough to mend.
    report = run(NAMESPACE, ignoring('"port-protocol"'), DEPLOYMENT)
    assert [one.rule for one in report.findings] == ["suppression"]


def test_a_suppression_that_is_used_says_nothing() -> None:
    assert run(NAMESPACE, ignoring('"port-protocol: meant"'), DEPLOYMENT).findings == ()
