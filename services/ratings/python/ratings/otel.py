"""ratings, otel: OpenTelemetry spans of the application inside the sidecars' trace."""

from __future__ import annotations

from opentelemetry.instrumentation.flask import FlaskInstrumentor

from meshtrail_common.serve import start
from meshtrail_common.telemetry import HEALTH_URLS, record_error, sql_span, tracing
from ratings.app import Settings, create_app


def main() -> None:
    with start("ratings", Settings) as service, tracing(service):
        app = create_app(service.settings, record_error, sql_span)
        FlaskInstrumentor().instrument_app(app, excluded_urls=HEALTH_URLS)  # type: ignore[no-untyped-call]
        service.serve_wsgi(app, service.settings.threads)


if __name__ == "__main__":
    main()
