"""database: answers GET /query with the number of rows in a real table.

This is the behaviour of both forms. plain.py runs it as it is, otel.py adds OpenTelemetry around it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig

from database.store import DATABASE, Store, open_store
from meshtrail_common import asgi
from meshtrail_common.errors import ignore
from meshtrail_common.settings import CommonSettings, variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CommonSettings):
    database_url: str = variable("DATABASE_URL", "sqlite://", DATABASE, "where the rows are", secret=True)


def create_app(
    settings: Settings,
    telemetry: TelemetryConfig = asgi.NO_TELEMETRY,
    on_error: Callable[[Exception], None] = ignore,
    sql_span: Callable[[Store], AbstractContextManager[Any]] = nullcontext,
) -> FastAPI:
    """`sql_span` opens a span around a query; the plain form has none."""
    app = asgi.create(telemetry, on_error)
    store = open_store(settings.database_url)

    # Not `async`: a query may block, so FastAPI runs these two in threads.
    @app.get("/readyz")
    def readyz() -> JSONResponse:
        store.count()
        return JSONResponse({"status": "ready"})

    @app.get("/query")
    def query() -> JSONResponse:
        with sql_span(store):
            records = store.count()
        return JSONResponse({"message": "Data from database", "records": records})

    app.router.add_event_handler("shutdown", store.close)
    return app
