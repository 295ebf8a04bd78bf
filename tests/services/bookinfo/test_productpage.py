"""productpage: what the page and the API make of what details, reviews and ratings say."""

from __future__ import annotations

import re
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from tests.services.bookinfo.shop import PRODUCTPAGE, RATINGS_ANSWER, REVIEWS_ANSWER, page, play, said
from tests.services.conftest import Setup
from tests.services.harness import DETAILS_ANSWER, Answer, Upstream, wait_for

from meshtrail_common.forwarding import Forwarder
from meshtrail_common.propagation import Switch
from meshtrail_common.settings import load
from productpage.app import create_app
from productpage.settings import Settings

PARENT = "b7ad6b7169203331"
APOLOGY = "Sorry, {} cannot be shown at the moment."
NO_DETAILS, NO_REVIEWS = APOLOGY.format("the details of this book"), APOLOGY.format("the reviews of this book")


def test_page_shows_what_the_others_say(shop: Setup) -> None:
    trace = secrets.token_hex(16)
    html = page(shop, traceparent=f"00-{trace}-{PARENT}-01", **{"x-request-id": "request-<1>"})
    for text in (*(str(DETAILS_ANSWER[key]) for key in DETAILS_ANSWER if key != "id"), "Good.", "Fair.", "Reviewer1"):
        assert text in html
    assert re.findall('aria-label="([^"]*)"', html) == ["5 of 5 stars, red", "4 of 5 stars, red"]
    assert "reviews v3" in html
    assert "reviews-v3-5d8f9c7b6-abcde" in html
    assert "west" in html
    assert f"meshtrail trace {trace}" in html
    assert "request-&lt;1&gt;" in html
    assert "Sorry" not in html
    assert "<script" not in html
    assert sorted(shop.upstream.paths) == ["/details/0", "/reviews/0"]


def test_details_and_reviews_are_asked_at_the_same_time(shop: Setup) -> None:
    gate = threading.Event()
    play(shop, Answer(gate=gate, body=said(DETAILS_ANSWER).body), Answer(gate=gate, body=said(REVIEWS_ANSWER).body))
    asked = threading.Thread(target=page, args=[shop])
    asked.start()
    try:
        wait_for(lambda: len(shop.upstream.paths) == 2, "both requests, neither answered")
    finally:
        gate.set()
        asked.join()


@pytest.mark.parametrize(
    ("rating", "label"),
    [
        (None, []),
        ({"stars": 1, "color": "black"}, ["1 of 5 stars, black"]),
        ({"stars": 0, "color": "red"}, ["0 of 5 stars, red"]),
        ({"stars": 99, "color": '"><script>'}, ["5 of 5 stars, black"]),
        ({"error": "<b>no stars</b>"}, []),
        ({"stars": "5"}, []),
        ("five", []),
    ],
    ids=["none", "black", "zero", "hostile", "error", "text", "no-object"],
)
def test_stars(shop: Setup, rating: Any, label: list[str]) -> None:
    review = {"reviewer": "<i>R</i>", "text": "<script>alert(1)</script>"}
    play(shop, reviews=said({"reviews": [review if rating is None else review | {"rating": rating}]}))
    html = page(shop)
    assert re.findall('aria-label="([^"]*)"', html) == label
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html
    assert "<i>" not in html
    assert (APOLOGY.format("the stars") in html) == (isinstance(rating, dict) and not label)
    assert "<b>" not in html


@pytest.mark.parametrize(
    "bad",
    [Answer(status=500), Answer(body=b"<html>"), said([]), said({"reviews": None, "id": []}), said("x"), said(None)],
    ids=["500", "html", "list", "empty", "text", "null"],
)
def test_part_that_is_down_is_excused(shop: Setup, bad: Answer) -> None:
    play(shop, details=bad)
    html = page(shop)
    assert NO_DETAILS in html
    assert "Good." in html
    play(shop, reviews=bad)
    html = page(shop)
    assert NO_REVIEWS in html
    assert "William Shakespeare" in html
    play(shop, details=bad, reviews=bad)
    html = page(shop)
    assert NO_DETAILS in html
    assert NO_REVIEWS in html


@pytest.mark.parametrize("status", [500, 404, 302])
def test_reviews_is_asked_twice(shop: Setup, status: int) -> None:
    play(shop, reviews=Answer(status=status))
    assert f"upstream reviews failed: answered {status}" in page(shop)
    assert sorted(shop.upstream.paths) == ["/details/0", "/reviews/0", "/reviews/0"]


def test_second_answer_counts(shop: Setup) -> None:
    def first_fails(handler: BaseHTTPRequestHandler) -> None:
        failed = shop.upstream.paths.count("/reviews/0") == 1
        body = b"" if failed else said(REVIEWS_ANSWER).body
        handler.wfile.write(
            b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (503 if failed else 200, len(body), body)
        )

    play(shop, reviews=Answer(action=first_fails))
    html = page(shop)
    assert "Sorry" not in html
    assert shop.upstream.paths.count("/reviews/0") == 2


def test_late_reviews_cost_twice_the_time_and_late_details_none_of_it(traced_shop: Setup) -> None:
    gate = threading.Event()
    play(traced_shop, Answer(gate=gate), Answer(gate=gate))
    began = time.monotonic()
    html = page(traced_shop)
    took = time.monotonic() - began
    gate.set()
    assert "upstream details timed out after 1.5 s" in html
    assert "upstream reviews timed out after 1.5 s" in html
    assert sorted(traced_shop.upstream.paths) == ["/details/0", "/reviews/0", "/reviews/0"]
    assert 3 <= took < 4.4, "3 s for reviews; details at the same time"


def test_api(shop: Setup) -> None:
    (product,) = shop.process.get("/api/v1/products").json()
    assert [type(product[key]) for key in ("id", "title", "descriptionHtml")] == [int, str, str]
    assert shop.process.get("/api/v1/products/7/reviews").json() == REVIEWS_ANSWER
    assert shop.process.get("/api/v1/products/7/ratings").json() == RATINGS_ANSWER
    assert shop.upstream.paths == ["/reviews/7", "/ratings/7"]


@pytest.mark.parametrize("part", ["", "/reviews", "/ratings"])
def test_api_passes_status_and_error_on(shop: Setup, part: str) -> None:
    bad = Answer(status=418, body=b'{"error": "short and stout"}')
    play(shop, bad, bad, bad)
    answer = shop.process.get(f"/api/v1/products/0{part}")
    assert (answer.status_code, answer.json()) == (418, {"error": "short and stout"})


@pytest.mark.parametrize("number", ["x", "1.5", "%2e%2e", "..%2f..", "\u0663", "1" * 30])
def test_bad_id_goes_no_further(shop: Setup, number: str) -> None:
    for part, status in (("", 400), ("/reviews", 404), ("/ratings", 400)):
        answer = shop.process.get(f"/api/v1/products/{number}{part}")
        assert answer.status_code in (status, 404)
        assert answer.json().keys() == {"error"}
    assert shop.upstream.paths == []


def test_metrics(shop: Setup) -> None:
    def counted() -> dict[str, float]:
        lines = [line for line in shop.process.get("/metrics").text.splitlines() if line.startswith("request_result_")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    before = counted()
    play(shop, details=Answer(status=404), reviews=Answer(body=b"no JSON"))
    page(shop)
    after = counted()
    for app, code in (("details", 404), ("reviews", 500)):
        name = f'request_result_total{{destination_app="{app}",response_code="{code}"}}'
        assert after[name] - before.get(name, 0) == 1


def test_other_pages(shop: Setup) -> None:
    for path in ("/", "/index.html"):
        assert 'href="/productpage"' in shop.process.get(path).text
    health = shop.process.get("/health")
    assert (health.status_code, health.headers["content-type"].partition(";")[0]) == (200, "text/plain")


def test_a_browser_is_told_to_fetch_and_run_nothing_else(shop: Setup) -> None:
    answer = shop.process.get("/productpage")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("style-src", "img-src", "form-action")} == {"'self'"}
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    (style,) = re.findall('rel="stylesheet" href="([^"]+)"', answer.text)
    css = shop.process.get(style)
    assert (css.status_code, css.headers["content-type"].partition(";")[0]) == (200, "text/css")
    assert "immutable" in css.headers["cache-control"]
    assert "immutable" not in shop.process.get("/static/style.css").headers["cache-control"], (
        "may be of another version"
    )
    assert shop.process.get(style, headers={"if-none-match": css.headers["etag"]}).status_code == 304
    assert not re.search("url\\(|@import|https?:", css.text)


def test_flood() -> None:
    with Upstream(REVIEWS_ANSWER) as upstream:
        settings = load(Settings, PRODUCTPAGE.upstream_at(upstream.url) | {"FLOOD_FACTOR": "3"})
        assert create_app(settings, Forwarder(Switch())).test_client().get("/productpage").status_code == 200
        assert upstream.paths.count("/reviews/0") == 4


def spans(setup: Setup, count: int) -> list[Any]:
    trace = secrets.token_hex(16)
    page(setup, traceparent=f"00-{trace}-{PARENT}-01")
    found = wait_for(
        lambda: (
            (got := [one for one in list(setup.collector.spans) if one.trace == trace]) and len(got) >= count and got
        ),
        f"{count} spans",
    )
    assert len(found) == count
    return list(found)


def test_trace_of_the_page(traced_shop: Setup) -> None:
    found = spans(traced_shop, 4)
    (server,) = [span for span in found if span.kind == "server"]
    assert (server.name, server.parent) == ("GET /productpage", PARENT)
    rest = [span for span in found if span is not server]
    assert sorted((span.name, span.kind) for span in rest) == [
        ("GET", "client"),
        ("GET", "client"),
        ("render productpage", "internal"),
    ]
    assert {span.parent for span in rest} == {server.id}, "those of the other thread too"
    got = {seen["traceparent"].split("-")[2] for seen in traced_shop.upstream.seen}
    assert got == {span.id for span in rest if span.kind == "client"}


def test_trace_of_the_retry(traced_shop: Setup) -> None:
    """The retry is a sibling of the attempt that failed, and each carries its own error."""
    play(traced_shop, reviews=Answer(status=500))
    found = spans(traced_shop, 5)
    (server,) = [span for span in found if span.kind == "server"]
    attempts = [span for span in found if span.kind == "client" and span.attributes["url.full"].endswith("/reviews/0")]
    assert [(span.parent, span.error) for span in attempts] == [(server.id, True)] * 2
    assert not server.error, "the page is there, with an apology"
