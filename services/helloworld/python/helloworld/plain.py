"""helloworld, plain: no tracing SDK. The sidecar makes the spans."""

from __future__ import annotations

from helloworld.app import Settings, create_app
from meshtrail_common.serve import start


def main() -> None:
    with start("helloworld", Settings) as service:
        app = create_app()
        service.serve_wsgi(app, threads=8)


if __name__ == "__main__":
    main()
