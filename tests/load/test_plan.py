from __future__ import annotations

import math
from array import array
from typing import Any

import pytest

from meshtrail.errors import MeshtrailError
from meshtrail.load.plan import plan
from meshtrail.load.report import LoadReport


def test_defaults_are_small() -> None:
    wanted = plan()
    assert (wanted.rate, wanted.duration_s, wanted.count) == (10.0, 10.0, 100)


def test_a_count_alone_lasts_as_long_as_it_takes() -> None:
    wanted = plan(rate=5.0, count=1000)
    assert wanted.count == 1000
    assert wanted.duration_s >= 200


def test_the_earlier_bound_holds() -> None:
    assert plan(rate=10.0, duration_s=2, count=1000).count == 20
    assert plan(rate=None, count=1000).count == 1000


@pytest.mark.parametrize(
    "bounds",
    [
        {"rate": 0.0},
        {"rate": -1.0},
        {"rate": math.inf},
        {"rate": math.nan},
        {"rate": 20_001.0},
        {"duration_s": 0.0},
        {"duration_s": math.inf},
        {"duration_s": 3601.0},
        {"count": 0},
        {"count": 1_000_001},
        {"concurrency": 0},
        {"concurrency": 257},
        {"timeout_s": 0.0},
    ],
)
def test_what_is_not_bounded_is_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(MeshtrailError, match="out of bounds"):
        plan(**bounds)


def test_percentiles_are_nearest_rank() -> None:
    report = LoadReport("http://x/", None, 1.0, 100, {200: 100}, {}, 0, 1, False, array("d", range(1, 101)))
    assert [report.percentile(percent) for percent in (50, 90, 99, 100)] == [50, 90, 99, 100]
