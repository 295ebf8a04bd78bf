"""reviews: answers GET /reviews/{id} with two reviews, and with the stars that ratings knows.

    productpage -> reviews v1
    productpage -> reviews v2, v3 -> ratings

The three versions are one program: v1 has ENABLE_RATINGS off, v2 shows black stars, v3 red ones. This is the behaviour
of both forms. plain.py runs it as it is, otel.py adds OpenTelemetry around it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, jsonify, request

from meshtrail_common import wsgi
from meshtrail_common.bookinfo import DEFAULT_PORT, HOST_NAME, SERVICE_PORT, TRUE_FALSE, product_id, service_url
from meshtrail_common.calls import Upstream
from meshtrail_common.errors import ServiceError
from meshtrail_common.forwarding import HEADERS, Forwarder
from meshtrail_common.settings import PORT, TEXT, CommonSettings, Kind, number, variable

TEXTS = {
    "Reviewer1": "Two pairs of twins, one town, and not a quiet minute: I laughed from the first scene to the last.",
    "Reviewer2": "Fast, silly and warm. There is more to think about in his other plays, and less to smile about.",
}


def _color(value: str) -> str:
    if not re.fullmatch("[A-Za-z]{1,20}", value):
        raise ValueError
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CommonSettings):
    port: int = variable("PORT", DEFAULT_PORT, PORT, "port to listen on")
    ratings_enabled: bool = variable("ENABLE_RATINGS", "false", TRUE_FALSE, "ask ratings for stars: v2 and v3")
    star_color: str = variable("STAR_COLOR", "black", Kind(_color, "letters"), "color of the stars: red in v3")
    ratings_host: str = variable("RATINGS_HOSTNAME", "ratings", HOST_NAME, "where ratings answers")
    ratings_port: int = variable("RATINGS_SERVICE_PORT", DEFAULT_PORT, SERVICE_PORT, "its port")
    domain: str = variable("SERVICES_DOMAIN", "", HOST_NAME, "what comes behind the names of services")
    pod: str = variable("HOSTNAME", "", TEXT, "podname of the answer, the machine's name when empty")
    cluster: str = variable("CLUSTER_NAME", "null", TEXT, "clustername of the answer")
    # A thread waits for as long as ratings takes, 10 seconds at most in v2.
    threads: int = variable("THREADS", "32", number(1, 256), "requests worked on at the same time")

    @property
    def ratings_timeout(self) -> float:
        """Seconds. v2 waits longer for ratings than productpage does for reviews, v3 does not: a flaw on purpose."""
        return 10.0 if self.star_color == "black" else 2.5


def create_app(
    settings: Settings, forward: Forwarder, span: Callable[[str], AbstractContextManager[Any]] = nullcontext
) -> Flask:
    """`span` opens a business span by name; the plain form has none."""
    app = wsgi.create("reviews")
    url = service_url(settings.ratings_host, settings.domain, settings.ratings_port)
    ratings = Upstream("ratings", url, settings.ratings_timeout)
    pod = settings.pod or socket.gethostname()
    # Istio's routes for Bookinfo go by end-user, its tasks on tokens and canaries by the others. None leaves the mesh.
    forward.routing = HEADERS.routing

    def fetch_ratings(product: int) -> dict[str, int]:
        with span("fetchRatings"):
            # The line that keeps the trace together: copy the tracing headers to the next request.
            answer = ratings.get(f"/ratings/{product}", forward(request.headers.items()))
            if answer.status != 200:
                raise ServiceError(502, f"upstream ratings failed: answered {answer.status}")
            return stars_of(answer.json())

    def stars(product: int) -> dict[str, int]:
        try:
            return fetch_ratings(product)
        except ServiceError as error:
            # Reviews without stars are better than no reviews.
            g.error = error.message
            return {}

    def rating(found: dict[str, int], reviewer: str) -> dict[str, Any]:
        if reviewer in found:
            return {"stars": found[reviewer], "color": settings.star_color}
        return {"error": "Ratings are not available at the moment"}

    @app.get("/health", provide_automatic_options=False)
    def health() -> Response:
        return jsonify(status="Reviews is healthy")

    @app.get("/readyz", provide_automatic_options=False)
    def readyz() -> Response:
        # Ready says nothing of ratings: a probe that asks upstreams takes the whole chain down with one service.
        return jsonify(status="ready")

    @app.get("/reviews/<product>", provide_automatic_options=False)
    def reviews(product: str) -> Response:
        number = product_id(product, status=404)
        entries: list[dict[str, Any]] = [{"reviewer": reviewer, "text": text} for reviewer, text in TEXTS.items()]
        if settings.ratings_enabled:
            found = stars(number)
            for entry in entries:
                entry["rating"] = rating(found, entry["reviewer"])
        return jsonify(id=str(number), podname=pod, clustername=settings.cluster, reviews=entries)

    return app


def stars_of(content: Any) -> dict[str, int]:
    """Return the stars that ratings' answer holds for each reviewer; ServiceError 502 when it is no such answer."""
    found = content.get("ratings") if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise ServiceError(502, "upstream ratings failed: the answer has no ratings")
    return {name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)}
