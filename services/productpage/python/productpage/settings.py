"""productpage's variables; those that name the other services are the ones of Istio's Bookinfo."""

from __future__ import annotations

from dataclasses import dataclass

from meshtrail_common.bookinfo import DEFAULT_PORT, HOST_NAME, SERVICE_PORT
from meshtrail_common.settings import PORT, SECONDS, CommonSettings, Kind, number, variable


def _secret(value: str) -> str:
    if value and len(value) < 16:
        raise ValueError
    return value


SECRET = Kind(_secret, "at least 16 characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CommonSettings):
    port: int = variable("PORT", DEFAULT_PORT, PORT, "port to listen on")
    details_host: str = variable("DETAILS_HOSTNAME", "details", HOST_NAME, "where details answers")
    details_port: int = variable("DETAILS_SERVICE_PORT", DEFAULT_PORT, SERVICE_PORT, "its port")
    reviews_host: str = variable("REVIEWS_HOSTNAME", "reviews", HOST_NAME, "where reviews answers")
    reviews_port: int = variable("REVIEWS_SERVICE_PORT", DEFAULT_PORT, SERVICE_PORT, "its port")
    ratings_host: str = variable("RATINGS_HOSTNAME", "ratings", HOST_NAME, "where ratings answers")
    ratings_port: int = variable("RATINGS_SERVICE_PORT", DEFAULT_PORT, SERVICE_PORT, "its port")
    domain: str = variable("SERVICES_DOMAIN", "", HOST_NAME, "what comes behind the names of services")
    upstream_timeout: float = variable("UPSTREAM_TIMEOUT", "3", SECONDS, "how long an upstream may take")
    flood_factor: int = variable("FLOOD_FACTOR", "0", number(0, 100), "further requests to reviews for each page")
    session_secret: str = variable(
        "SESSION_SECRET", "", SECRET, "signs the session cookie, random for each process when empty", secret=True
    )
    # A thread waits for as long as the slowest upstream takes, twice 3 seconds at most.
    threads: int = variable("THREADS", "32", number(1, 256), "requests worked on at the same time")
