"""productpage with details, reviews and ratings that the tests play: one upstream answers for all three."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.services.conftest import Setup
from tests.services.harness import DETAILS_ANSWER, Answer, implementation

PRODUCTPAGE = implementation("productpage")
REVIEWS_ANSWER = {
    "id": "0",
    "podname": "reviews-v3-5d8f9c7b6-abcde",
    "clustername": "west",
    "reviews": [
        {"reviewer": "Reviewer1", "text": "Good.", "rating": {"stars": 5, "color": "red"}},
        {"reviewer": "Reviewer2", "text": "Fair.", "rating": {"stars": 4, "color": "red"}},
    ],
}
RATINGS_ANSWER = {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}


def said(content: Any) -> Answer:
    return Answer(body=json.dumps(content).encode())


def play(
    setup: Setup, details: Answer | None = None, reviews: Answer | None = None, ratings: Answer | None = None
) -> None:
    """Let the one upstream of the tests answer for all three services."""
    answers = {
        "details": details or said(DETAILS_ANSWER),
        "reviews": reviews or said(REVIEWS_ANSWER),
        "ratings": ratings or said(RATINGS_ANSWER),
    }

    def answer(handler: BaseHTTPRequestHandler) -> None:
        one = answers[handler.path.split("/")[1]]
        if one.gate:
            one.gate.wait(20)
        if one.action:
            one.action(handler)
            return
        head = f"HTTP/1.1 {one.status} x\r\nConnection: close\r\nContent-Length: {len(one.body)}\r\n\r\n"
        handler.wfile.write(head.encode() + one.body)

    setup.upstream.answer = Answer(action=answer)


def page(setup: Setup, **headers: str) -> str:
    answer = setup.process.get("/productpage", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text
