"""database, otel: OpenTelemetry spans of the application inside the sidecars' trace."""

from __future__ import annotations

from database.app import Settings, create_app
from meshtrail_common.serve import start
from meshtrail_common.telemetry import FASTAPI_SPANS, record_error, sql_span, tracing


def main() -> None:
    with start("database", Settings) as service, tracing(service):
        app = create_app(service.settings, FASTAPI_SPANS, record_error, sql_span)
        service.serve_asgi(app)


if __name__ == "__main__":
    main()
