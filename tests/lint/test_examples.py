"""Each rule reports its example in the lines that are marked there, and nothing in the one that is in order."""

from __future__ import annotations

import pytest
from tests.lint.support import ROOT

from meshtrail.lint import reference, rules
from meshtrail.lint.rule import RULES
from meshtrail.lint.run import lint

rules.load()
EXAMPLES = ROOT / "src/meshtrail/lint/examples"


@pytest.mark.parametrize("name", ["reported", "clean"])
@pytest.mark.parametrize("rule", RULES)
def test_the_rule_reports_what_is_marked(rule: str, name: str) -> None:
    path = EXAMPLES / rule / f"{name}.yaml"
    marked = {number for number, line in enumerate(path.read_text().splitlines(), 1) if line.endswith(reference.MARK)}
    assert bool(marked) == (name == "reported")
    report = lint([str(path)])
    assert report.problems == ()
    own = [one for one in report.findings if one.rule == rule]
    assert {one.line for one in own} == marked
    assert {one.level for one in own} <= set(RULES[rule].levels)
    assert all(one.mend and one.text and one.field for one in own)
    # An example shows one thing. A note that nothing is known of the provider is no fault of it.
    others = [one for one in report.findings if one.rule not in (rule, "unknown-provider")]
    assert others == []


def test_no_example_is_left_over() -> None:
    assert sorted(path.name for path in EXAMPLES.iterdir()) == sorted(RULES)


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs/lint.md").read_text()
    assert reference.render(page) == page, "python -m meshtrail.lint.reference docs/lint.md"
