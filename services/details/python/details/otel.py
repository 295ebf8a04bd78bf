"""details, otel: OpenTelemetry spans of the application inside the sidecars' trace."""

from __future__ import annotations

from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor

from details.app import Settings, create_app
from meshtrail_common.serve import start
from meshtrail_common.telemetry import HEALTH_URLS, record_error, tracing


def main() -> None:
    with start("details", Settings) as service, tracing(service):
        URLLib3Instrumentor().instrument()
        app = create_app(service.settings, service.forward, record_error)
        FlaskInstrumentor().instrument_app(app, excluded_urls=HEALTH_URLS)  # type: ignore[no-untyped-call]
        service.serve_wsgi(app, service.settings.threads)


if __name__ == "__main__":
    main()
