"""How fast the trace store takes spans in: `python bench/store_ingest.py [--seconds S]`.

Spans as Envoy makes them (20 attributes), in requests of 5 (what a sidecar sends) and of 512 (what an SDK may send), by
one client process with 16 requests in flight. The peer is a receiver that does nothing, on grpcio and uvicorn: what any
handler on these libraries could reach at best. `per core` is spans per second of CPU time that the receiver used, which
noise on the machine and a slow client touch less than the rate on the clock; `of nothing` is its ratio. MiB is resident
memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TARGETS = {5: 15_000, 512: 60_000}
_IN_FLIGHT = 16
_SPANS_PER_TRACE = 4
_MARK = b"MARK"  # the bytes of each trace id that differ from request to request
_ATTRIBUTES = (
    ("node_id", "sidecar~10.244.0.11~frontend-54775b758d-n5lkx.default~default.svc.cluster.local"),
    ("zone", ""),
    ("guid:x-request-id", "f160cb8d-6f81-95b3-a8f6-2c8de4c96930"),
    ("http.url", "http://frontend.default.svc.cluster.local:3000/"),
    ("http.method", "GET"),
    ("downstream_cluster", "-"),
    ("user_agent", "Python-urllib/3.11"),
    ("http.protocol", "HTTP/1.1"),
    ("peer.address", "10.244.0.4"),
    ("request_size", "0"),
    ("response_size", "29"),
    ("component", "proxy"),
    ("upstream_cluster", "inbound|3000||"),
    ("upstream_cluster.name", "inbound|3000||;"),
    ("http.status_code", "200"),
    ("response_flags", "-"),
    ("istio.canonical_service", "frontend"),
    ("istio.canonical_revision", "v1"),
    ("istio.mesh_id", "cluster.local"),
    ("istio.namespace", "default"),
)


@dataclass(frozen=True, slots=True)
class Receiver:
    name: str
    pid: int
    grpc: str
    http: str
    query: str

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def template(spans: int) -> bytes:
    """One request; every trace id begins with the mark."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "frontend.default"
    scope = resource.scope_spans.add()
    scope.scope.name = "envoy"
    now = time.time_ns()
    for at in range(spans):
        span = scope.spans.add(
            trace_id=_MARK + (at // _SPANS_PER_TRACE).to_bytes(12),
            span_id=(at + 1).to_bytes(8),
            parent_span_id=at.to_bytes(8) if at % _SPANS_PER_TRACE else b"",
            name="frontend.default.svc.cluster.local:3000/*",
            kind=2,
            start_time_unix_nano=now + at,
            end_time_unix_nano=now + at + 1_000_000,
        )
        for key, value in _ATTRIBUTES:
            span.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()


def requests(spans: int) -> Iterator[bytes]:
    """Requests of new traces without end, cheap to make."""
    pattern = template(spans)
    for number in count(1):
        yield pattern.replace(_MARK, number.to_bytes(4))


def load_grpc(receiver: Receiver, spans: int, seconds: float) -> tuple[int, float]:
    """Requests answered, seconds taken."""
    with grpc.insecure_channel(receiver.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        call = channel.unary_unary(EXPORT)
        flying: deque[grpc.Future] = deque()
        begin, done = time.perf_counter(), 0
        for body in requests(spans):
            flying.append(call.future(body))
            if len(flying) >= _IN_FLIGHT:
                flying.popleft().result()
                done += 1
            if time.perf_counter() - begin >= seconds:
                break
        for future in flying:
            future.result()
            done += 1
        return done, time.perf_counter() - begin


def load_http(receiver: Receiver, spans: int, seconds: float) -> tuple[int, float]:
    async def run() -> tuple[int, float]:
        bodies = requests(spans)
        done = 0
        begin = time.perf_counter()
        headers = {"content-type": "application/x-protobuf"}

        async def worker(client: httpx.AsyncClient) -> None:
            nonlocal done
            while time.perf_counter() - begin < seconds:
                (await client.post("/v1/traces", content=next(bodies), headers=headers)).raise_for_status()
                done += 1

        async with httpx.AsyncClient(base_url=receiver.http) as client:
            await asyncio.gather(*(worker(client) for _ in range(4)))
        return done, time.perf_counter() - begin

    return asyncio.run(run())


_NOTHING = """
import asyncio, json, os, socket, sys
import grpc, uvicorn, uvloop
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
async def main():
    async def export(data, context):
        return b""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(export)
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"otlp_grpc": f"127.0.0.1:{port}",
        "otlp_http": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off")).serve(sockets=[listener])
uvloop.run(main())
"""
STORE = [sys.executable, "-m", "meshtrail.store"] + [
    word for name in ("otlp-grpc", "otlp-http", "zipkin", "query") for word in (f"--{name}-port", "0")
]


@contextmanager
def receiver(name: str, command: list[str]) -> Iterator[Receiver]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield Receiver(name, process.pid, ready["otlp_grpc"], ready["otlp_http"], ready.get("query", ""))
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (12 of them)")
    seconds = parser.parse_args().seconds
    table = Table(title="Ingest of the trace store, against a receiver that does nothing")
    for column in ("transport", "receiver", "spans a request", "spans/s", "per core", "target", "of nothing", "MiB"):
        table.add_column(column, justify="left" if column in ("transport", "receiver") else "right")
    loads: list[tuple[str, Callable[[Receiver, int, float], tuple[int, float]]]] = [
        ("OTLP gRPC", load_grpc),
        ("OTLP HTTP", load_http),
    ]
    commands = {
        "nothing": [sys.executable, "-c", _NOTHING],
        "store": STORE,
    }
    with receiver("nothing", commands["nothing"]) as nothing:
        for transport, load in loads:
            for spans in TARGETS:
                load(nothing, spans, 0.3)
                peer = _measure(nothing, load, spans, seconds)
                _row(table, transport, spans, nothing, peer, peer)
                # A new store each time: what an earlier run left to evict is not this run's cost.
                with receiver("store", commands["store"]) as store:
                    load(store, spans, 0.3)
                    _row(table, transport, spans, store, _measure(store, load, spans, seconds), peer)
    Console(width=None if Console().is_terminal else 100).print(table)


def _measure(
    target: Receiver, load: Callable[[Receiver, int, float], tuple[int, float]], spans: int, seconds: float
) -> tuple[float, float]:
    cpu = target.cpu_s()
    done, took = load(target, spans, seconds)
    return done * spans / took, done * spans / max(target.cpu_s() - cpu, 0.01)


def _row(
    table: Table, transport: str, spans: int, target: Receiver, rates: tuple[float, float], peer: tuple[float, float]
) -> None:
    goal = f"{TARGETS[spans]:,}" if target.name == "store" and transport == "OTLP gRPC" else ""
    rate, per_core = rates
    ratio = f"{per_core / peer[1]:.2f}"
    table.add_row(
        transport, target.name, str(spans), f"{rate:,.0f}", f"{per_core:,.0f}", goal, ratio, f"{target.rss_mib():.0f}"
    )


if __name__ == "__main__":
    main()
