"""Each implementation under thousands of made-up requests. test_contract.py sends a few dozen to each."""

from __future__ import annotations

import pytest
from tests.services.conftest import Setup
from tests.services.fuzzing import fuzz

pytestmark = pytest.mark.soak


@pytest.mark.timeout(600)
def test_long(running: Setup) -> None:
    assert fuzz(running.implementation.service, running.process.url, 1000, derandomize=False) > 0
    assert running.process.get().status_code == 200
    assert not [entry for entry in running.process.logs() if "exception" in entry]
