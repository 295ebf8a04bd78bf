"""productpage, otel: OpenTelemetry spans of the application inside the sidecars' trace."""

from __future__ import annotations

from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.trace import get_tracer

from meshtrail_common.serve import start
from meshtrail_common.telemetry import HEALTH_URLS, record_error, tracing
from productpage.app import create_app
from productpage.settings import Settings


def main() -> None:
    with start("productpage", Settings) as service, tracing(service):
        URLLib3Instrumentor().instrument()
        span = get_tracer("productpage").start_as_current_span
        app = create_app(service.settings, service.forward, span, record_error)
        FlaskInstrumentor().instrument_app(app, excluded_urls=HEALTH_URLS)  # type: ignore[no-untyped-call]
        service.serve_wsgi(app, service.settings.threads)


if __name__ == "__main__":
    main()
