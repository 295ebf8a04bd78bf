"""productpage: the page of a book, made of what details and reviews say.

    gateway -> productpage -> details
                           -> reviews -> ratings

This is the behaviour of both forms. plain.py runs it as it is, otel.py adds OpenTelemetry around it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from flask import Flask, Response, g, jsonify, redirect, render_template, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from meshtrail_common import wsgi
from meshtrail_common.bookinfo import product_id
from meshtrail_common.errors import ServiceError, ignore
from meshtrail_common.forwarding import Forwarder
from productpage import session, static
from productpage.page import PRODUCTS, details_of, reviews_of, trace_of
from productpage.settings import Settings
from productpage.upstreams import Result, Upstreams

# Every thing the page needs comes from here, and none of it is a script.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Other sites learn nothing; signing in leads back to the page where it was done.
    "Referrer-Policy": "same-origin",
}


def create_app(
    settings: Settings,
    forward: Forwarder,
    span: Callable[[str], AbstractContextManager[Any]] = nullcontext,
    on_error: Callable[[Exception], None] = ignore,
) -> Flask:
    """`span` opens a business span by name, the plain form has none; `on_error` sees what became an error answer."""
    app = wsgi.create("productpage")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    upstreams = Upstreams(settings)
    session.configure(app, settings.session_secret)
    static.serve(app)
    # VirtualServices may route on them. Not end-user: it says who is signed in here, whatever a client claims to be.
    forward.routing = frozenset({"user-agent", "cookie", "authorization", "jwt"})
    forward.private_cookies = frozenset({session.COOKIE})

    def headers() -> list[tuple[bytes, bytes]]:
        """Return what the next requests carry of this one."""
        # The line that keeps the trace together: copy the tracing headers to the next request.
        copied = forward(request.headers.items())
        user = session.user()
        return [*copied, (b"end-user", user.encode())] if user else copied

    def api(result: Result) -> tuple[Response, int]:
        if result.failure:
            g.error = result.failure
            on_error(ServiceError(result.status, result.failure))
        return jsonify(result.content), result.status

    @app.get("/readyz", provide_automatic_options=False)
    def readyz() -> Response:
        # Ready says nothing of the others: without them the page still shows what it has.
        return jsonify(status="ready")

    @app.get("/health", provide_automatic_options=False)
    def health() -> Response:
        return Response("productpage is healthy", content_type="text/plain; charset=utf-8")

    @app.get("/metrics", provide_automatic_options=False)
    def metrics() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    @app.get("/", provide_automatic_options=False)
    @app.get("/index.html", provide_automatic_options=False)
    def index() -> str:
        return render_template("index.html", user=session.user())

    @app.get("/productpage", provide_automatic_options=False)
    def productpage() -> str:
        product = PRODUCTS[0]
        details, reviews = upstreams.details_and_reviews(product.id, headers())
        g.error = "; ".join(result.failure for result in (details, reviews) if result.failure)
        with span("render productpage"):
            return render_template(
                "productpage.html",
                product=product,
                details=details_of(details.content) if details.status == 200 else None,
                details_failure=details.failure,
                reviews=reviews_of(reviews.content) if reviews.status == 200 else None,
                reviews_failure=reviews.failure,
                user=session.user(),
                trace=trace_of(request.headers.items()),
                request_id=request.headers.get("x-request-id", ""),
            )

    @app.post("/login", provide_automatic_options=False)
    def login() -> Any:
        session.sign_in(request.form.get("username", ""))
        return redirect(session.came_from())

    @app.route("/logout", methods=["GET", "POST"], provide_automatic_options=False)
    def logout() -> Any:
        session.sign_out()
        return redirect(session.came_from())

    @app.get("/api/v1/products", provide_automatic_options=False)
    def products() -> Response:
        return jsonify(
            [{"id": one.id, "title": one.title, "descriptionHtml": one.description_html} for one in PRODUCTS]
        )

    @app.get("/api/v1/products/<number>", provide_automatic_options=False)
    def product(number: str) -> tuple[Response, int]:
        return api(upstreams.details(product_id(number), headers()))

    @app.get("/api/v1/products/<number>/reviews", provide_automatic_options=False)
    def product_reviews(number: str) -> tuple[Response, int]:
        return api(upstreams.reviews(product_id(number, status=404), headers()))

    @app.get("/api/v1/products/<number>/ratings", provide_automatic_options=False)
    def product_ratings(number: str) -> tuple[Response, int]:
        return api(upstreams.ratings(product_id(number), headers()))

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.extend(SECURITY_HEADERS)
        # A page is one person's; what does not change says so itself.
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app
