"""What productpage asks of details, reviews and ratings, and what it makes of an answer.

reviews is asked a second time when the first answer is late or bad. Istio's original has this on purpose: with its
3 s each time, and a timeout of 10 s between reviews and ratings, a delay of 7 s shows that the two do not fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter, disable_created_metrics

from meshtrail_common.bookinfo import service_url
from meshtrail_common.calls import Upstream
from meshtrail_common.errors import ServiceError
from meshtrail_common.parallel import Background
from productpage.settings import Settings

REVIEWS_ATTEMPTS = 2

Headers = Iterable[tuple[bytes, bytes]]

disable_created_metrics()  # type: ignore[no-untyped-call]
_results = Counter("request_result", "Results of requests", ["destination_app", "response_code"])


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request: `content` is the upstream's JSON, or `{"error": ...}` with any status but 200.

    `failure` says in the services' usual words what went wrong, empty when nothing did.
    """

    status: int
    content: Any
    failure: str = ""


class Upstreams:
    """The three services behind productpage, safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        def upstream(name: str, host: str, port: int) -> Upstream:
            return Upstream(name, service_url(host, settings.domain, port), settings.upstream_timeout)

        self._details = upstream("details", settings.details_host, settings.details_port)
        self._reviews = upstream("reviews", settings.reviews_host, settings.reviews_port)
        self._ratings = upstream("ratings", settings.ratings_host, settings.ratings_port)
        self._background = Background()
        self._flood_factor = settings.flood_factor

    def details(self, product: int, headers: Headers) -> Result:
        return _counted("details", _ask(self._details, f"/details/{product}", headers))

    def reviews(self, product: int, headers: Headers) -> Result:
        for _ in range(REVIEWS_ATTEMPTS):
            result = _ask(self._reviews, f"/reviews/{product}", headers)
            if result.status == 200:
                break
        return _counted("reviews", result)

    def ratings(self, product: int, headers: Headers) -> Result:
        return _counted("ratings", _ask(self._ratings, f"/ratings/{product}", headers))

    def details_and_reviews(self, product: int, headers: Headers) -> tuple[Result, Result]:
        """Ask both at the same time, and reviews as often again as FLOOD_FACTOR says, for nothing but the load."""
        details = self._background.start(self.details, product, headers)
        flood = [self._background.start(self.reviews, product, headers) for _ in range(self._flood_factor)]
        reviews = self.reviews(product, headers)
        for one in flood:
            one.result()
        return details.result(), reviews


def _ask(upstream: Upstream, path: str, headers: Headers) -> Result:
    """Return the result of a GET, whatever happens: 500 when no answer came, or one that makes no sense."""
    try:
        answer = upstream.get(path, headers)
        if answer.status == 200:
            return Result(200, answer.json())
    except ServiceError as error:
        return Result(500, {"error": error.message}, error.message)
    failure = f"upstream {upstream.name} failed: answered {answer.status}"
    try:
        content = answer.json()
    except ServiceError:
        content = None
    if not (isinstance(content, dict) and isinstance(content.get("error"), str)):
        content = {"error": failure}
    return Result(answer.status if answer.status >= 400 else 500, content, failure)


def _counted(app: str, result: Result) -> Result:
    _results.labels(app, result.status).inc()
    return result
