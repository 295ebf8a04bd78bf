"""A shop in three processes: orders takes an order over HTTP, queue keeps it, packer works on it later.

Between orders and packer there is no HTTP: one line of JSON on a TCP connection is one message. A message has no
headers; what shall travel with it has to stand in it. Nothing here makes a span, the sidecars do.
"""

import json
import os
import queue
import socket
import socketserver
import sys
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# The flaw of this exercise: with "on" orders writes the tracing headers of its request into the message, or packer
# reads them out of it and sends them on.
CARRY = os.environ.get("MESSAGE_CONTEXT", "off") == "on"
CONTEXT = ("traceparent", "tracestate", "x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "b3")


def port() -> int:
    return int(os.environ.get("PORT", "8000"))


def host() -> str:
    return os.environ.get("HOST", "0.0.0.0")


def at_queue() -> socket.socket:
    """A connection to the queue, `tcp://queue:7000`."""
    place = urlsplit(os.environ["QUEUE_URL"])
    return socket.create_connection((place.hostname, place.port), timeout=30)


class Orders(BaseHTTPRequestHandler):
    """GET /order: puts a message on the queue and answers at once; the work is done later, by somebody else."""

    protocol_version = "HTTP/1.1"
    # A kept connection of a sidecar that never asks again would hold its thread for good.
    timeout = 60

    def do_GET(self) -> None:
        status = 200
        answer: dict[str, Any] = {"status": "ok"}
        if self.path.startswith("/order"):
            message: dict[str, Any] = {"order": time.time_ns()}
            if CARRY:
                message["context"] = {name: self.headers[name] for name in CONTEXT if self.headers[name]}
            try:
                put(message)
                status, answer = 202, {"order": message["order"], "status": "accepted"}
            except OSError as error:
                status, answer = 503, {"error": f"queue: {error}"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def put(message: dict[str, Any]) -> None:
    with at_queue() as connection, connection.makefile("rwb") as stream:
        stream.write(b"PUT " + json.dumps(message).encode() + b"\n")
        stream.flush()
        if stream.readline().strip() != b"OK":
            raise OSError("did not take the message")


class Queue(socketserver.StreamRequestHandler):
    """`PUT <message>` answers OK; `TAKE` answers the oldest message, or an empty line after a second without one."""

    messages: "queue.Queue[bytes]" = queue.Queue(maxsize=1000)

    def handle(self) -> None:
        for line in self.rfile:
            command, _, message = line.strip().partition(b" ")
            if command == b"PUT":
                try:
                    self.messages.put_nowait(message)
                    self.wfile.write(b"OK\n")
                except queue.Full:
                    self.wfile.write(b"FULL\n")
            else:
                try:
                    self.wfile.write(self.messages.get(timeout=1) + b"\n")
                except queue.Empty:
                    self.wfile.write(b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def pack() -> None:
    """Take one message after the other, and ask backend for each, over HTTP and through the sidecar."""
    while True:
        try:
            with at_queue() as connection, connection.makefile("rwb") as stream:
                while True:
                    stream.write(b"TAKE\n")
                    stream.flush()
                    line = stream.readline()
                    if not line:
                        break
                    if line.strip():
                        work(json.loads(line))
        except OSError as error:
            log(error=str(error))
            time.sleep(0.5)


def work(message: dict[str, Any]) -> None:
    headers = message.get("context", {}) if CARRY else {}
    connection = HTTPConnection(urlsplit(os.environ["BACKEND_URL"]).netloc, timeout=10)
    try:
        connection.request("GET", "/api/data", headers=headers)
        log(order=message["order"], backend=connection.getresponse().status, context=sorted(headers))
    except OSError as error:
        log(order=message["order"], error=str(error))
    finally:
        connection.close()


def log(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    role = sys.argv[1]
    if role == "orders":
        ThreadingHTTPServer((host(), port()), Orders).serve_forever()
    elif role == "queue":
        Server((host(), port()), Queue).serve_forever()
    else:
        pack()
