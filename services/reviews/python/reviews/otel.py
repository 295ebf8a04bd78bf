"""reviews, otel: OpenTelemetry spans of the application inside the sidecars' trace."""

from __future__ import annotations

from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.trace import get_tracer

from meshtrail_common.serve import start
from meshtrail_common.telemetry import HEALTH_URLS, tracing
from reviews.app import Settings, create_app


def main() -> None:
    with start("reviews", Settings) as service, tracing(service):
        URLLib3Instrumentor().instrument()
        app = create_app(service.settings, service.forward, get_tracer("reviews").start_as_current_span)
        FlaskInstrumentor().instrument_app(app, excluded_urls=HEALTH_URLS)  # type: ignore[no-untyped-call]
        service.serve_wsgi(app, service.settings.threads)


if __name__ == "__main__":
    main()
