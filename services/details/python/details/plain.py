"""details, plain: no tracing SDK. The sidecars make the spans, the copied headers join them."""

from __future__ import annotations

from details.app import Settings, create_app
from meshtrail_common.serve import start


def main() -> None:
    with start("details", Settings) as service:
        app = create_app(service.settings, service.forward)
        service.serve_wsgi(app, service.settings.threads)


if __name__ == "__main__":
    main()
