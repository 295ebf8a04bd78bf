"""`python -m meshtrail.store`: the trace store as a process."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
from pathlib import Path

from meshtrail.errors import MeshtrailError
from meshtrail.store.limits import Limits


def _parser() -> argparse.ArgumentParser:
    limits = Limits()
    parser = argparse.ArgumentParser(prog="python -m meshtrail.store", description="Trace store for one machine.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    for name, port, what in (
        ("otlp-grpc", 4317, "OTLP over gRPC"),
        ("otlp-http", 4318, "OTLP over HTTP"),
        ("zipkin", 9411, "Zipkin v2 JSON"),
        ("query", 16686, "Jaeger's query API"),
    ):
        parser.add_argument(f"--{name}-port", type=_port, default=port, help=f"{what} (0: any free port)")
    parser.add_argument("--store", type=Path, metavar="FILE", help="keep traces in this file, beyond the process")
    parser.add_argument("--max-traces", type=_count, default=limits.max_traces, metavar="N")
    parser.add_argument("--max-spans", type=_count, default=limits.max_spans, metavar="N")
    parser.add_argument("--max-age", type=_seconds, default=0.0, metavar="SECONDS", help="0: no limit")
    parser.add_argument("--max-memory", type=_count, default=limits.max_stored_bytes, metavar="BYTES")
    parser.add_argument("--max-body", type=_count, default=limits.max_body_bytes, metavar="BYTES")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="further name in the Host header (repeatable)"
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text[:9]) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:12]) <= 2**31 - 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {2**31 - 1}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e10:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # Late, so that --help and a wrong option answer at once.
    import uvloop

    from meshtrail.store.server import Settings, serve

    settings = Settings(
        host=options.host,
        otlp_grpc_port=options.otlp_grpc_port,
        otlp_http_port=options.otlp_http_port,
        zipkin_port=options.zipkin_port,
        query_port=options.query_port,
        file=options.store,
        allowed_hosts=tuple(options.allow_host),
        limits=dataclasses.replace(
            Limits(),
            max_traces=options.max_traces,
            max_spans=options.max_spans,
            max_age_s=options.max_age,
            max_stored_bytes=options.max_memory,
            max_body_bytes=options.max_body,
        ),
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except MeshtrailError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
