"""The process: binds every port, says that it is ready, runs until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from meshtrail.store import jaeger_api, jaeger_api_v3, otlp_grpc, otlp_http, zipkin_http
from meshtrail.store.guard import Guard
from meshtrail.store.http_server import HttpServer, PortRouter
from meshtrail.store.limits import Limits
from meshtrail.store.ports import listen
from meshtrail.store.store import TraceStore

# Ports a client may expect, in Jaeger's and Zipkin's numbering.
DEFAULT_PORTS = {"otlp_grpc": 4317, "otlp_http": 4318, "zipkin": 9411, "query": 16686}
_TICK_S = 0.25
_PACK_BUDGET_S = 0.01


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says; a port of 0 takes any free one."""

    host: str = "127.0.0.1"
    otlp_grpc_port: int = DEFAULT_PORTS["otlp_grpc"]
    otlp_http_port: int = DEFAULT_PORTS["otlp_http"]
    zipkin_port: int = DEFAULT_PORTS["zipkin"]
    query_port: int = DEFAULT_PORTS["query"]
    file: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


def query_app(store: TraceStore) -> Starlette:
    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok", "traces": len(store.index.traces), "spans": store.index.span_count})

    return Starlette(
        routes=[Route("/healthz", healthz), *jaeger_api_v3.routes(store), *jaeger_api.routes(store)],
    )


def _spare_the_collector() -> None:
    """The store holds many small objects and no cycles; looking through all of them for cycles is wasted time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises MeshtrailError when a port or the file cannot be had."""
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    journal = None
    if settings.file is not None:
        from meshtrail.store.sqlite import SqliteJournal

        journal = SqliteJournal(settings.file)
    store = TraceStore(settings.limits, journal)
    if journal is not None:
        journal.load(store.index)
        store.evict()
    try:
        await _run(settings, store, end)
    finally:
        if journal is not None:
            journal.close()


async def _run(settings: Settings, store: TraceStore, end: asyncio.Event) -> None:
    host = settings.host
    grpc_listener = listen(host, settings.otlp_grpc_port, "--otlp-grpc-port")
    listeners = {}
    apps = {}
    ports = {}
    for name, port, app in (
        ("otlp_http", settings.otlp_http_port, otlp_http.create_app(store)),
        ("zipkin", settings.zipkin_port, zipkin_http.create_app(store)),
        ("query", settings.query_port, query_app(store)),
    ):
        listeners[name] = listen(host, port, f"--{name.replace('_', '-')}-port")
        ports[name] = listeners[name].getsockname()[1]
        apps[ports[name]] = Guard(app, (host, *settings.allowed_hosts))
    grpc_server = otlp_grpc.create_server(store)
    await grpc_server.start(grpc_listener)
    http_server = HttpServer(PortRouter(apps))
    serving = asyncio.create_task(http_server.serve(sockets=list(listeners.values())))
    await http_server.ready.wait()
    _spare_the_collector()
    shown = f"[{host}]" if ":" in host else host
    ready = {"event": "ready", "otlp_grpc": f"{shown}:{grpc_listener.getsockname()[1]}"}
    ready |= {name: f"http://{shown}:{port}" for name, port in ports.items()}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    housekeeping = asyncio.create_task(_keep_house(store))
    await end.wait()
    housekeeping.cancel()
    with suppress(asyncio.CancelledError):
        await housekeeping
    http_server.should_exit = True
    # Requests that were received are finished and stored; new ones are refused.
    await asyncio.gather(grpc_server.stop(grace_s=3), serving)


async def _keep_house(store: TraceStore) -> None:
    """Age out and pack, in small portions between requests."""
    while True:
        await asyncio.sleep(_TICK_S)
        store.evict()
        store.pack_some(_PACK_BUDGET_S)
        if store.journal is not None:
            with suppress(Exception):
                await store.journal.committed()
