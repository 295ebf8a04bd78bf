"""What the FastAPI services have in common: health, JSON errors, the access log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meshtrail_common import logs
from meshtrail_common.errors import ServiceError, ignore

# FastAPI brings OpenTelemetry instrumentation that is on by default; the plain form switches all of it off.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def create(telemetry: TelemetryConfig, on_error: Callable[[Exception], None] = ignore) -> FastAPI:
    """Return an application with /healthz and JSON errors; `on_error` sees each exception that became an answer."""
    app = FastAPI(telemetry=telemetry, openapi_url=None, redirect_slashes=False)
    app.add_middleware(AccessLog)

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> JSONResponse:
        on_error(error)
        request.state.error = error.message
        return JSONResponse({"error": error.message}, error.status)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail.lower()}, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> JSONResponse:
        on_error(error)
        return JSONResponse({"error": "internal error"}, 500)

    return app


class AccessLog:
    """Logs each request once it is answered. Plain ASGI: half the cost of starlette's BaseHTTPMiddleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not logging.getLogger("access").isEnabledFor(logging.ERROR):
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note_status)
        finally:
            request_id = Headers(scope=scope).get("x-request-id")
            error = scope.get("state", {}).get("error")
            logs.access(scope["method"], scope["path"], status, started, request_id, error)
