"""helloworld's other answer; the common contract has the first."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.services.conftest import Setup, each
from tests.services.harness import IMPLEMENTATIONS, Implementation

HELLOWORLDS = [one for one in IMPLEMENTATIONS if one.service == "helloworld"]


@pytest.fixture(params=each(HELLOWORLDS))
def helloworld(request: pytest.FixtureRequest, _services: Callable[[Implementation, str], Setup]) -> Setup:
    return _services(*request.param)


def test_time_is_told_in_utc(helloworld: Setup) -> None:
    trace = secrets.token_hex(16)
    began = datetime.now(UTC).replace(microsecond=0)
    answer = helloworld.process.get("/gettime", headers={"traceparent": f"00-{trace}-{'1' * 16}-01"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    told = datetime.strptime(answer.text, "The time is %Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert began <= told <= datetime.now(UTC)
    if helloworld.form == "otel":
        (span,) = helloworld.collector.trace(trace, 1).values()
        assert (span.name, span.kind) == ("GET /gettime", "server")
