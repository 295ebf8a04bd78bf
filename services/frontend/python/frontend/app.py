"""frontend: answers GET / with what backend says.

    gateway -> frontend -> backend -> database

This is the behaviour of both forms. plain.py runs it as it is, otel.py adds OpenTelemetry around it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig

from meshtrail_common import asgi
from meshtrail_common.errors import ignore
from meshtrail_common.forwarding import Forwarder
from meshtrail_common.settings import HTTP_URL, PORT, SECONDS, CommonSettings, variable
from meshtrail_common.upstream import async_client, json_of, upstream_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CommonSettings):
    port: int = variable("PORT", "3000", PORT, "port to listen on")
    backend_url: str = variable("BACKEND_URL", "http://backend:8080", HTTP_URL, "where backend answers")
    upstream_timeout: float = variable("UPSTREAM_TIMEOUT", "5", SECONDS, "how long an upstream may take")


def create_app(
    settings: Settings,
    forward: Forwarder,
    telemetry: TelemetryConfig = asgi.NO_TELEMETRY,
    on_error: Callable[[Exception], None] = ignore,
) -> FastAPI:
    app = asgi.create(telemetry, on_error)
    backend = async_client(settings.backend_url, settings.upstream_timeout)
    # VirtualServices may route on it, further inside the mesh too.
    forward.routing = frozenset({"end-user"})

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        # Ready says nothing of backend: a probe that asks upstreams takes the whole chain down with one service.
        return JSONResponse({"status": "ready"})

    @app.get("/")
    async def index(request: Request) -> JSONResponse:
        with upstream_errors("backend", settings.upstream_timeout):
            # The line that keeps the trace together: copy the tracing headers to the next request.
            answer = await backend.get("/api/data", headers=forward(request.headers.items()))
        return JSONResponse({"message": "Frontend response", "backend_data": json_of("backend", answer)})

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with backend:
            yield

    app.router.lifespan_context = lifespan
    return app
