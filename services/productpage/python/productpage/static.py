"""The files of /static, under addresses that name their content, so that a browser may keep them for good."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Flask, Response, request, send_from_directory

FOLDER = Path(__file__).parent / "static"
YEAR = 365 * 24 * 3600  # seconds


def serve(app: Flask) -> None:
    """Answer /static/<name>; in templates `static("style.css")` gives the address of a file."""
    addresses = {}
    for file in FOLDER.iterdir():
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        addresses[file.name] = f"/static/{file.name}?{digest}"

    @app.get("/static/<name>", provide_automatic_options=False)
    def static(name: str) -> Response:
        response = send_from_directory(FOLDER, name, max_age=3600)
        if request.full_path == addresses.get(name):
            response.cache_control.max_age = YEAR
            response.cache_control.immutable = True
        response.cache_control.public = True
        return response

    app.jinja_env.globals["static"] = addresses.__getitem__
