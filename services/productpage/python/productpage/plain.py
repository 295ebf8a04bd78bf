"""productpage, plain: no tracing SDK. The sidecars make the spans, the copied headers join them."""

from __future__ import annotations

from meshtrail_common.serve import start
from productpage.app import create_app
from productpage.settings import Settings


def main() -> None:
    with start("productpage", Settings) as service:
        app = create_app(service.settings, service.forward)
        service.serve_wsgi(app, service.settings.threads)


if __name__ == "__main__":
    main()
