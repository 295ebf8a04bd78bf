"""The handouts on paper: a participant's sheet is one page, on either kind of paper."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.print_page_options import PrintOptions
from tests.support.mesh import ROOT

from meshtrail.exercises.catalog import Exercise, exercises
from meshtrail.exercises.handout import handout

PAPER_CM = {"A4": (21.0, 29.7), "Letter": (21.59, 27.94)}


def pages(browser: Chrome, file: Path, paper: str) -> int:
    """On how many pages it is printed; the sheet sets its own margins."""
    browser.get(file.as_uri())
    options = PrintOptions()
    options.page_width, options.page_height = PAPER_CM[paper]
    options.margin_top = options.margin_bottom = 1.0
    options.margin_left = options.margin_right = 1.3
    pdf = base64.b64decode(browser.print_page(options))
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


@pytest.mark.matrix
@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("exercise", exercises(ROOT), ids=lambda one: one.id)
def test_a_participant_gets_one_page(browser: Chrome, tmp_path: Path, exercise: Exercise, language: str) -> None:
    sheet = tmp_path / "sheet.html"
    sheet.write_text(handout(exercise, language, trainer=False), encoding="utf-8")
    assert {paper: pages(browser, sheet, paper) for paper in PAPER_CM} == {"A4": 1, "Letter": 1}
