"""What the Flask service has in common with the others: health, JSON errors, the access log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from meshtrail_common import logs
from meshtrail_common.errors import ServiceError, ignore


def create(name: str, on_error: Callable[[Exception], None] = ignore) -> Flask:
    """Return an application with /healthz, JSON errors and an access log; `on_error` sees each failure (5xx)."""
    app = Flask(name, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.compact = True  # type: ignore[attr-defined]
    app.url_map.strict_slashes = True
    app.url_map.redirect_defaults = False
    app.url_map.merge_slashes = False

    @app.get("/healthz", provide_automatic_options=False)
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.errorhandler(ServiceError)
    def service_error(error: ServiceError) -> tuple[Response, int]:
        g.error = error.message
        if error.status >= 500:
            on_error(error)
        return jsonify(error=error.message), error.status

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        # The original response keeps the headers that belong to the status, such as Allow.
        response = Response(headers=error.get_response().headers, status=error.code)
        response.data = app.json.dumps({"error": error.name.lower()})
        response.content_type = "application/json"
        return response

    @app.errorhandler(Exception)
    def defect(error: Exception) -> tuple[Response, int]:
        logging.getLogger("app").error("unexpected error", exc_info=error)
        on_error(error)
        return jsonify(error="internal error"), 500

    @app.before_request
    def start_clock() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def access_log(response: Response) -> Response:
        request_id = request.headers.get("x-request-id")
        logs.access(request.method, request.path, response.status_code, g.started, request_id, g.get("error"))
        return response

    return app
