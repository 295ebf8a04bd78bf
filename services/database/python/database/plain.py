"""database, plain: no tracing SDK. It calls nobody, so it has nothing to forward."""

from __future__ import annotations

from database.app import Settings, create_app
from meshtrail_common.serve import start


def main() -> None:
    with start("database", Settings) as service:
        app = create_app(service.settings)
        service.serve_asgi(app)


if __name__ == "__main__":
    main()
