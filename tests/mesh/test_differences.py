"""The page says what the list says, and the parity tests know no other difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.parity import compare
from tests.parity.situations import APPLICATIONS

from meshtrail.mesh.differences import DIFFERENCES, render

PAGE = Path(__file__).parents[2] / "docs" / "local-mesh-config.md"


def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert render(page) == page, "run: python -m meshtrail.mesh.differences docs/local-mesh-config.md"


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="has no place"):
        render("# Page\n")


def test_every_difference_is_one_that_a_parity_test_allows_for() -> None:
    allowed = {one.differs for application in APPLICATIONS for one in application.situations if one.differs}
    assert {one.name for one in DIFFERENCES} == allowed | set(compare.DIFFERENCES)
