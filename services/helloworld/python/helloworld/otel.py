"""helloworld, otel: one span of the application inside the sidecar's."""

from __future__ import annotations

from opentelemetry.instrumentation.flask import FlaskInstrumentor

from helloworld.app import Settings, create_app
from meshtrail_common.serve import start
from meshtrail_common.telemetry import HEALTH_URLS, tracing


def main() -> None:
    with start("helloworld", Settings) as service, tracing(service):
        app = create_app()
        FlaskInstrumentor().instrument_app(app, excluded_urls=HEALTH_URLS)  # type: ignore[no-untyped-call]
        service.serve_wsgi(app, threads=8)


if __name__ == "__main__":
    main()
