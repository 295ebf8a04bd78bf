"""Where the ratings are: in memory, or in v2 in the table of a PostgreSQL database."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn, Protocol

from meshtrail_common import postgres
from meshtrail_common.availability import Availability
from meshtrail_common.errors import ServiceError
from meshtrail_common.postgres import Postgres, Table
from meshtrail_common.settings import StartError

DEFAULT = '{"Reviewer1":5,"Reviewer2":4}'
# Products whose ratings are remembered: with bodies of 64 KB at most, memory has a bound that nobody can push.
KEPT_PRODUCTS = 256


class Store(Protocol):
    def check(self) -> None:
        """Raise ServiceError 503 when the store does not answer."""

    def get(self, product: int) -> str:
        """Return the ratings of a product as JSON; ServiceError 500 when the store does not answer."""

    def put(self, product: int, body: bytes) -> None:
        """Keep the ratings that a body (JSON) holds; ServiceError 400 when it holds none, 501 when that is not done."""


class MemoryStore:
    """Two ratings for every product, until others are posted."""

    def __init__(self) -> None:
        self._posted: dict[int, str] = {}
        self._lock = threading.Lock()

    def check(self) -> None:
        """Memory is always there."""

    def get(self, product: int) -> str:
        return self._posted.get(product, DEFAULT)

    def put(self, product: int, body: bytes) -> None:
        ratings = parse(body)
        with self._lock:
            self._posted.pop(product, None)
            if len(self._posted) >= KEPT_PRODUCTS:
                self._posted.pop(next(iter(self._posted)))  # the one that was posted first
            self._posted[product] = ratings


class PostgresStore:
    """The table ratings(ReviewID, Rating): its first two rows are the ratings of every product."""

    system = postgres.SYSTEM
    address: str | None
    port: int | None
    table = "ratings"
    query = "SELECT Rating FROM ratings ORDER BY ReviewID LIMIT 2"

    def __init__(self, url: str, span: Callable[[PostgresStore], AbstractContextManager[Any]]) -> None:
        self._database = Postgres(
            url,
            Table(
                create="CREATE TABLE IF NOT EXISTS ratings (ReviewID INTEGER PRIMARY KEY, Rating INTEGER)",
                insert="INSERT INTO ratings VALUES (%s, %s) ON CONFLICT DO NOTHING",
                rows=[(1, 5), (2, 4)],
            ),
        )
        self.namespace = self._database.namespace
        self.address, self.port = self._database.address, self._database.port
        self._span = span
        self._availability = Availability(self.system)

    def check(self) -> None:
        try:
            self._stars()
        except Exception as error:
            raise ServiceError(503, "the ratings database is not available") from error

    def get(self, product: int) -> str:
        try:
            with self._span(self):
                stars = self._stars()
        except Exception as error:
            raise ServiceError(500, "the ratings database is not available") from error
        stars += [0] * (2 - len(stars))
        return f'{{"Reviewer1":{stars[0]},"Reviewer2":{stars[1]}}}'

    def _stars(self) -> list[int]:
        with self._availability.watch():
            return [rating or 0 for (rating,) in self._database.rows(self.query)]

    def put(self, product: int, body: bytes) -> None:
        parse(body)
        raise ServiceError(501, "ratings in a database cannot be posted")


def open_store(version: str, url: str, span: Callable[[PostgresStore], AbstractContextManager[Any]]) -> Store:
    """Return the store of a SERVICE_VERSION; StartError when v2 is not told where its database is."""
    if version != "v2":
        return MemoryStore()
    if not url:
        raise StartError(f"SERVICE_VERSION=v2 needs DATABASE_URL, expected {postgres.URL_FORM}")
    return PostgresStore(url, span)


def parse(body: bytes) -> str:
    """Return a JSON object of ratings in its shortest form; ServiceError 400 when the body is none.

    The values may be anything, as with the original; reviews shows those that are whole numbers. What JSON does not
    know (NaN, numbers beyond a double) is refused, so that what is answered later is JSON too.
    """
    try:
        ratings = json.loads(body.decode(), parse_constant=_refuse)
        text = json.dumps(ratings, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        raise ServiceError(400, "the body has to be a JSON object of ratings") from None
    if not isinstance(ratings, dict):
        raise ServiceError(400, "the body has to be a JSON object of ratings")
    return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
