"""ratings, plain: no tracing SDK. It calls nobody, so it has nothing to forward."""

from __future__ import annotations

from meshtrail_common.serve import start
from ratings.app import Settings, create_app


def main() -> None:
    with start("ratings", Settings) as service:
        app = create_app(service.settings)
        service.serve_wsgi(app, service.settings.threads)


if __name__ == "__main__":
    main()
