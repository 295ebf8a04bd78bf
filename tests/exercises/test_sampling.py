"""Exercise 5 counts on chance: its bounds, and what its pages say of them."""

from __future__ import annotations

import importlib.util
import math
from types import ModuleType

import pytest
from tests.support.mesh import ROOT

from meshtrail.exercises.catalog import exercise


@pytest.fixture(scope="module")
def check_05() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_05", exercise(ROOT, "5").check_file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chance(count: int, share: float, low: int, high: int) -> float:
    """Of `count` draws from `low` to `high`."""
    return math.fsum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(low, high + 1))


@pytest.mark.parametrize(("count", "share"), [(110, 0.1), (110, 0.5), (40, 0.1), (200, 0.01)])
def test_bounds_leave_out_what_chance_does_not_give(check_05: ModuleType, count: int, share: float) -> None:
    low, high = check_05.bounds(count, share)
    assert chance(count, share, 0, low - 1) <= check_05.CHANCE < chance(count, share, 0, low)
    assert chance(count, share, high + 1, count) <= check_05.CHANCE < chance(count, share, high, count)


@pytest.mark.parametrize(("language", "span"), [("en", "from {} to {}"), ("ru", "от {} до {}")])
def test_the_pages_say_the_bounds_of_the_check(check_05: ModuleType, language: str, span: str) -> None:
    background = exercise(ROOT, "5").page(language).parts[1]
    assert str(check_05.COUNT) in background
    assert span.format(*check_05.bounds(check_05.COUNT, check_05.SHARE / 100)) in background
