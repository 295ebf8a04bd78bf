"""details: answers GET /details/{id} with what is printed on a book.

    productpage -> details -> a book service outside the mesh, when that is switched on

This is the behaviour of both forms. plain.py runs it as it is, otel.py adds OpenTelemetry around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, jsonify, request

from details.books import BOOK, BOOK_SERVICE, Book, ask_book_service, book_service_url
from meshtrail_common import wsgi
from meshtrail_common.bookinfo import DEFAULT_PORT, TRUE_FALSE, product_id
from meshtrail_common.calls import Upstream
from meshtrail_common.errors import ignore
from meshtrail_common.forwarding import Forwarder
from meshtrail_common.settings import HTTP_URL, PORT, SECONDS, CommonSettings, number, variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CommonSettings):
    port: int = variable("PORT", DEFAULT_PORT, PORT, "port to listen on")
    external: bool = variable(
        "ENABLE_EXTERNAL_BOOK_SERVICE", "false", TRUE_FALSE, "ask a book service outside the mesh"
    )
    book_service: str = variable("BOOK_SERVICE_URL", BOOK_SERVICE, HTTP_URL, "the book service")
    unencrypted: bool = variable(
        "DO_NOT_ENCRYPT", "false", TRUE_FALSE, "ask it over HTTP: the sidecar or an egress gateway does the TLS"
    )
    upstream_timeout: float = variable("UPSTREAM_TIMEOUT", "5", SECONDS, "how long an upstream may take")
    threads: int = variable("THREADS", "8", number(1, 256), "requests worked on at the same time")


def create_app(settings: Settings, forward: Forwarder, on_error: Callable[[Exception], None] = ignore) -> Flask:
    app = wsgi.create("details", on_error)
    url = book_service_url(settings.book_service, settings.unencrypted)
    books = Upstream("books", url, settings.upstream_timeout) if settings.external else None

    def book() -> Book:
        if books is None:
            return BOOK
        # forward.routing is empty here: who is signed in, cookies and tokens are nothing for a service outside.
        return ask_book_service(books, forward(request.headers.items()))

    @app.get("/health", provide_automatic_options=False)
    def health() -> Response:
        return jsonify(status="Details is healthy")

    @app.get("/readyz", provide_automatic_options=False)
    def readyz() -> Response:
        return jsonify(status="ready")

    @app.get("/details/<product>", provide_automatic_options=False)
    def details(product: str) -> Response:
        number = product_id(product)
        return jsonify(book().answer(number))

    return app
