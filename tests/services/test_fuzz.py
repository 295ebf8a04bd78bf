"""Each implementation under requests made up from its OpenAPI document; `make test-soak` makes many more of them."""

from __future__ import annotations

import pytest
from tests.services.conftest import Setup
from tests.services.fuzzing import fuzz


def test_made_up_requests(running: Setup) -> None:
    _fuzz(running, 8)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_hundreds_of_made_up_requests(running: Setup) -> None:
    _fuzz(running, 120)


def _fuzz(running: Setup, examples: int) -> None:
    # The same ones each time: a test should not fail for what nobody has changed.
    assert fuzz(running.implementation.service, running.process.url, examples, derandomize=True) > 0
    running.implementation.check(running.process.get())
    assert not [entry for entry in running.process.logs() if "exception" in entry]
