"""ratings: answers GET /ratings/{id} with how many stars each reviewer gave.

    productpage -> reviews -> ratings -> PostgreSQL in version v2

This is the behaviour of both forms. plain.py runs it as it is, otel.py adds OpenTelemetry around it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify, request

from meshtrail_common import postgres, wsgi
from meshtrail_common.bookinfo import DEFAULT_PORT, product_id
from meshtrail_common.errors import ignore
from meshtrail_common.settings import PORT, CommonSettings, Kind, choice, number, variable
from ratings.faults import VERSIONS as FAULTY_VERSIONS
from ratings.faults import Faults
from ratings.store import PostgresStore, open_store

_URL = Kind(lambda value: value and postgres.check_url(value), postgres.URL_FORM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CommonSettings):
    port: int = variable("PORT", DEFAULT_PORT, PORT, "port to listen on")
    version: str = variable(
        "SERVICE_VERSION",
        "v1",
        choice("v1", "v2", *FAULTY_VERSIONS),
        "v2: from a database; v-...: with a fault",
    )
    database: str = variable("DB_TYPE", "postgresql", choice("postgresql"), "the database of v2")
    database_url: str = variable("DATABASE_URL", "", _URL, "where the ratings of v2 are", secret=True)
    # A thread waits for as long as an answer is held back, 7 seconds in v-delayed.
    threads: int = variable("THREADS", "32", number(1, 256), "requests worked on at the same time")


def create_app(
    settings: Settings,
    on_error: Callable[[Exception], None] = ignore,
    sql_span: Callable[[PostgresStore], AbstractContextManager[Any]] = nullcontext,
    faults: Faults | None = None,
) -> Flask:
    """`sql_span` opens a span around a query; the plain form has none."""
    app = wsgi.create("ratings", on_error)
    store = open_store(settings.version, settings.database_url, sql_span)
    faults = faults or Faults(settings.version)

    def answer(number: int) -> Response:
        # The store speaks JSON: what was posted need not be read again for each answer.
        return Response(f'{{"id":{number},"ratings":{store.get(number)}}}\n', content_type="application/json")

    @app.get("/health", provide_automatic_options=False)
    def health() -> tuple[Response, int]:
        if faults.healthy():
            return jsonify(status="Ratings is healthy"), 200
        return jsonify(status="Ratings is not healthy"), 500

    @app.get("/readyz", provide_automatic_options=False)
    def readyz() -> Response:
        store.check()
        return jsonify(status="ready")

    @app.get("/ratings/<product>", provide_automatic_options=False)
    def get(product: str) -> Response:
        number = product_id(product)
        faults.apply()
        return answer(number)

    @app.post("/ratings/<product>", provide_automatic_options=False)
    def post(product: str) -> Response:
        number = product_id(product)
        store.put(number, request.get_data())
        return answer(number)

    return app
