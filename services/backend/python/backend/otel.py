"""backend, otel: OpenTelemetry spans of the application inside the sidecars' trace."""

from __future__ import annotations

from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.trace import get_tracer

from backend.app import Settings, create_app
from meshtrail_common.serve import start
from meshtrail_common.telemetry import HEALTH_URLS, tracing


def main() -> None:
    with start("backend", Settings) as service, tracing(service):
        HTTPXClientInstrumentor().instrument()
        app = create_app(service.settings, service.forward, get_tracer("backend").start_as_current_span)
        FlaskInstrumentor().instrument_app(app, excluded_urls=HEALTH_URLS)  # type: ignore[no-untyped-call]
        service.serve_wsgi(app, service.settings.threads)


if __name__ == "__main__":
    main()
