from __future__ import annotations

from typing import Any

import pytest

from meshtrail.model.span import Span


def span(name: str = "work", **tags: Any) -> Span:
    renamed = {key.replace("__", "."): value for key, value in tags.items()}
    return Span("a" * 32, "1" * 16, None, "backend.meshtrail", name, "server", 10, 5, renamed)


@pytest.mark.parametrize(
    ("one", "maker"),
    [
        (span(), "application"),
        (span(component="requests"), "application"),
        (span(component="proxy", node_id="sidecar~10.0.0.1~backend-1.meshtrail~x"), "sidecar"),
        (span(component="proxy"), "sidecar"),
        (span(component="proxy", node_id="router~10.0.0.1~gateway.istio-system~x"), "gateway"),
        (span("router outbound|3000||frontend; egress", component="proxy"), "gateway"),
    ],
)
def test_maker(one: Span, maker: str) -> None:
    assert one.maker == maker


@pytest.mark.parametrize(
    ("one", "error"),
    [
        (span(), False),
        (span(error=True), True),
        (span(error="true"), True),
        (span(error="connection refused"), True),
        (span(error=False), False),
        (span(error="false"), False),
        (span(otel__status_code="ERROR"), True),
        (span(otel__status_code="OK"), False),
    ],
)
def test_error(one: Span, error: bool) -> None:
    assert one.error is error


@pytest.mark.parametrize(
    ("one", "status"),
    [
        (span(http__status_code="200"), 200),
        (span(http__response__status_code=404), 404),
        (span(http__status_code="0"), None),
        (span(http__status_code="²"), None),
        (span(http__status_code="9" * 5000), None),
        (span(), None),
    ],
)
def test_http_status(one: Span, status: int | None) -> None:
    assert one.http_status == status


def test_flags_and_identity() -> None:
    one = span(response_flags="URX,DC", **{"guid:x-request-id": "f1"})
    assert one.response_flags == ("URX", "DC")
    assert span(response_flags="-").response_flags == ()
    assert (one.app, one.request_id, one.end_us) == ("backend", "f1", 15)
    assert span().request_id is None
