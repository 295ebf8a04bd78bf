"""helloworld: answers where it runs and what time it is.

This is the behaviour of both forms. plain.py runs it as it is, otel.py adds OpenTelemetry around it.
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime

from flask import Flask, Response, jsonify

from meshtrail_common import wsgi
from meshtrail_common.settings import CommonSettings

# Nothing of its own.
Settings = CommonSettings

# As Go spells them, in which the first helloworld is written.
SYSTEM = platform.system().lower()
PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
PROCESSOR = PROCESSORS.get(platform.machine().lower(), platform.machine().lower())


def create_app() -> Flask:
    """It calls nobody, so it has nothing to forward."""
    app = wsgi.create("helloworld")

    @app.get("/readyz", provide_automatic_options=False)
    def readyz() -> Response:
        return jsonify(status="ready")

    @app.get("/", provide_automatic_options=False)
    def hello() -> Response:
        return Response(f"hello world, I'm running on {SYSTEM} with an {PROCESSOR} CPU", mimetype="text/plain")

    @app.get("/gettime", provide_automatic_options=False)
    def gettime() -> Response:
        return Response(f"The time is {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", mimetype="text/plain")

    return app
