"""frontend, otel: OpenTelemetry spans of the application inside the sidecars' trace."""

from __future__ import annotations

from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

from frontend.app import Settings, create_app
from meshtrail_common.serve import start
from meshtrail_common.telemetry import FASTAPI_SPANS, record_error, tracing


def main() -> None:
    with start("frontend", Settings) as service, tracing(service):
        HTTPXClientInstrumentor().instrument()
        app = create_app(service.settings, service.forward, FASTAPI_SPANS, record_error)
        service.serve_asgi(app)


if __name__ == "__main__":
    main()
