"""backend: answers GET /api/data with what database says and what it made of it.

This is the behaviour of both forms. plain.py runs it as it is, otel.py adds OpenTelemetry around it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify, request

from meshtrail_common import wsgi
from meshtrail_common.errors import ServiceError
from meshtrail_common.forwarding import Forwarder
from meshtrail_common.settings import HTTP_URL, SECONDS, CommonSettings, number, variable
from meshtrail_common.upstream import client, json_of, upstream_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CommonSettings):
    database_url: str = variable("DATABASE_SERVICE_URL", "http://database:8080", HTTP_URL, "where database answers")
    upstream_timeout: float = variable("UPSTREAM_TIMEOUT", "5", SECONDS, "how long an upstream may take")
    threads: int = variable("THREADS", "8", number(1, 256), "requests worked on at the same time")


def create_app(
    settings: Settings, forward: Forwarder, span: Callable[[str], AbstractContextManager[Any]] = nullcontext
) -> Flask:
    """`span` opens a business span by name; the plain form has none."""
    app = wsgi.create("backend")
    database = client(settings.database_url, settings.upstream_timeout)
    # VirtualServices may route on it, further inside the mesh too.
    forward.routing = frozenset({"end-user"})

    def fetch_from_database() -> Any:
        with span("fetchFromDatabase"), upstream_errors("database", settings.upstream_timeout):
            # The line that keeps the trace together: copy the tracing headers to the next request.
            answer = database.get("/query", headers=forward(request.headers.items()))
            return json_of("database", answer)

    def process_business_logic() -> dict[str, Any]:
        with span("processBusinessLogic"):
            data = fetch_from_database()
            return {"message": "Backend response", "database_data": data, "processed": 2 * records_of(data)}

    @app.get("/readyz", provide_automatic_options=False)
    def readyz() -> Response:
        # Ready says nothing of database: a probe that asks upstreams takes the whole chain down with one service.
        return jsonify(status="ready")

    @app.get("/api/data", provide_automatic_options=False)
    def data() -> Response:
        return jsonify(process_business_logic())

    return app


def records_of(data: Any) -> int:
    """Return the number of records in database's answer; ServiceError 502 when there is none."""
    records = data.get("records") if isinstance(data, dict) else None
    if not isinstance(records, int):
        raise ServiceError(502, "upstream database failed: the answer has no number of records")
    return records
