"""A trace store of one's own, as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PORTS = ("--otlp-grpc-port", "--otlp-http-port", "--zipkin-port", "--query-port")


@contextmanager
def running_store(*options: str) -> Iterator[dict[str, str]]:
    """Its addresses, `otlp_http` and `query` among them."""
    command = [sys.executable, "-m", "meshtrail.store", *(word for port in PORTS for word in (port, "0")), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(30)
