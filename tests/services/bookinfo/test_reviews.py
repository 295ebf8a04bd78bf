"""reviews: its three versions, and what it shows when ratings is not what it should be."""

from __future__ import annotations

import json
import secrets
import threading
from typing import Any

import pytest
from tests.services.bookinfo.conftest import REVIEWS
from tests.services.conftest import Setup
from tests.services.harness import Answer, Process, Upstream, wait_for

from meshtrail_common.settings import load
from reviews.app import Settings

ERROR = {"error": "Ratings are not available at the moment"}


def shown(answer: Any) -> list[Any]:
    """Return the rating of each review, None where there is none."""
    assert answer.status_code == 200
    return [review.get("rating") for review in answer.json()["reviews"]]


def rated(**stars: Any) -> Answer:
    return Answer(body=json.dumps({"id": 0, "ratings": stars}).encode())


def test_v1_asks_nobody() -> None:
    with Upstream({}) as upstream:
        environment = REVIEWS.upstream_at(upstream.url) | {"ENABLE_RATINGS": "false", "HOSTNAME": "reviews-v1-0"}
        with Process(REVIEWS, "plain", **environment, CLUSTER_NAME="") as process:
            answer = process.get("/reviews/3")
            assert shown(answer) == [None, None]
            content = answer.json()
            assert (content["id"], content["podname"], content["clustername"]) == ("3", "reviews-v1-0", "null")
            assert [sorted(review) for review in content["reviews"]] == [["reviewer", "text"]] * 2
        assert upstream.seen == []


def test_v2_shows_black_stars() -> None:
    with Upstream({"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}) as upstream:
        environment = REVIEWS.upstream_at(upstream.url) | {"ENABLE_RATINGS": "TRUE", "STAR_COLOR": ""}
        with Process(REVIEWS, "plain", **environment) as process:
            stars = [{"stars": 5, "color": "black"}, {"stars": 4, "color": "black"}]
            assert shown(process.get("/reviews/12")) == stars
        assert upstream.paths == ["/ratings/12"]


@pytest.mark.parametrize(("color", "seconds"), [("black", 10), ("red", 2.5), ("blue", 2.5)])
def test_how_long_ratings_may_take(color: str, seconds: float) -> None:
    assert load(Settings, {"STAR_COLOR": color}).ratings_timeout == seconds


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        (Answer(status=503), "upstream ratings failed: answered 503"),
        (Answer(status=302), "upstream ratings failed: answered 302"),
        (Answer(body=b"<html>"), "upstream ratings failed: the answer is not JSON"),
        (Answer(body=b"[" * 100_000), "upstream ratings failed: the answer is not JSON"),
        (Answer(body=b"[]"), "upstream ratings failed: the answer has no ratings"),
        (Answer(body=b'{"ratings": null}'), "upstream ratings failed: the answer has no ratings"),
        (Answer(body=b" " * 2_000_000), "upstream ratings failed: the answer is larger than 1048576 bytes"),
        (Answer(action=lambda handler: handler.connection.close()), "upstream ratings failed: "),
    ],
    ids=["503", "302", "html", "deep", "list", "null", "large", "close"],
)
def test_ratings_that_fail_cost_the_stars_alone(reviews: Setup, upstream: Answer, expected: str) -> None:
    reviews.upstream.answer = upstream
    request_id = expected.strip()
    assert shown(reviews.process.get(headers={"x-request-id": request_id})) == [ERROR, ERROR]
    line = wait_for(
        lambda: [entry for entry in reviews.process.logs() if entry.get("request_id") == request_id], "the log line"
    )[-1]
    assert (line["level"], line["status"]) == ("info", 200)
    assert line["error"].startswith(expected)
    reviews.upstream.answer = reviews.upstream.healthy
    reviews.implementation.check(reviews.process.get())


def test_late_ratings_cost_the_stars_alone(reviews: Setup) -> None:
    gate = threading.Event()
    reviews.upstream.answer = Answer(gate=gate)
    answer = reviews.process.get()
    gate.set()
    assert shown(answer) == [ERROR, ERROR]
    assert 2.4 < answer.elapsed.total_seconds() < 6


def test_stars_are_whole_numbers(reviews: Setup) -> None:
    for value in ("5", None, True, 4.5, [5], {"stars": 5}):
        reviews.upstream.answer = rated(Reviewer1=value, Reviewer2=3)
        assert shown(reviews.process.get()) == [ERROR, {"stars": 3, "color": "red"}], value
    reviews.upstream.answer = rated(Somebody=5)
    assert shown(reviews.process.get()) == [ERROR, ERROR]


def test_failure_of_ratings_is_on_the_span_of_the_call(traced_reviews: Setup) -> None:
    trace = secrets.token_hex(16)
    traced_reviews.upstream.answer = Answer(status=500)
    traced_reviews.process.get(headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    spans = traced_reviews.collector.trace(trace, len(traced_reviews.implementation.spans))
    lookup = spans["fetchRatings"]
    assert lookup.error
    assert "exception" in lookup.events
    assert not spans["GET /reviews/<product>"].error, "the answer itself is good"
