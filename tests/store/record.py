"""Record a real Jaeger's answers: `python -m tests.store.record PATH_OF_JAEGER`.

Starts that binary once for each input, on free loopback ports with an empty memory storage, and writes
recorded/NAME.jaeger.json.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from tests.store.jaeger_pairs import answers_of, ask, inputs, questions, send, trace_ids

_CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp, zipkin], exporters: [jaeger_storage_exporter]}}
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
extensions:
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
  jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 100000}}}}}}}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
  zipkin: {{endpoint: "127.0.0.1:{zipkin}"}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""


def main(jaeger: str) -> None:
    for source in inputs():
        ports = _free_ports("query", "query_grpc", "otlp", "zipkin")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
            config.write(_CONFIG.format_map(ports))
            config.flush()
            environment = os.environ | {"OTEL_TRACES_SAMPLER": "always_off"}  # no spans of its own
            process = subprocess.Popen([jaeger, "--config", config.name], env=environment, stderr=subprocess.DEVNULL)
            try:
                _record(source, ports)
            finally:
                process.kill()
                process.wait()


def _record(source: Path, ports: dict[str, int]) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{ports['query']}", timeout=10) as client:
        _wait(lambda: client.get("/api/services").is_success)
        response = send(client, source, f"http://127.0.0.1:{ports['otlp']}", f"http://127.0.0.1:{ports['zipkin']}")
        response.raise_for_status()
        _wait(lambda: all(client.get(f"/api/traces/{trace_id}").is_success for trace_id in trace_ids(source)))
        services = sorted(client.get("/api/services").json()["data"])
        answers = {path: ask(client, path) for path in questions(source, services)}
    answers_of(source).write_text(json.dumps(answers, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def _wait(condition: object, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if condition():  # type: ignore[operator]
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError("Jaeger did not get there")


def _free_ports(*names: str) -> dict[str, int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: listener.getsockname()[1] for name, listener in zip(names, sockets, strict=True)}
    for listener in sockets:
        listener.close()
    return ports


if __name__ == "__main__":
    main(sys.argv[1])
