"""A book service outside the mesh, as far as a test needs one: TLS, one book, and it remembers what it was asked."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.absent import absent

HOST = "www.googleapis.com"
ANSWER = {"items": [{"volumeInfo": {"authors": ["An Author Outside"], "printType": "BOOK", "language": "en"}}]}


@dataclass
class BookService:
    """`seen` are the headers of each request, with names in lower case."""

    port: int
    seen: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def book_service(folder: Path) -> Iterator[BookService]:
    """On a free port of 127.0.0.1, with a certificate for HOST that nobody has signed; skips without openssl."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()})
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: what it was asked is in `seen`."""

    class Server(ThreadingHTTPServer):
        # A caller that does not trust the certificate ends the handshake: nothing to tell of.
        def handle_error(self, *_: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(folder))
    with Server(("127.0.0.1", 0), Handler) as server:
        # The handshake in the thread of its connection: one that hangs holds up no other.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield BookService(server.server_address[1], seen)
        finally:
            server.shutdown()
            thread.join()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Certificate and key in `folder`."""
    program = shutil.which("openssl") or absent("no openssl on the PATH")
    names = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-out", names[0], "-keyout", names[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return names
