"""OTLP over gRPC: TraceService/Export."""

from __future__ import annotations

import socket
from contextlib import suppress

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from meshtrail.errors import MeshtrailError
from meshtrail.store.compression import gunzip
from meshtrail.store.otlp import response_for
from meshtrail.store.refused import RefusedError
from meshtrail.store.store import TraceStore

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# Bit set of the compressions that a client may use: identity (1) and gzip (1 << 2).
_IDENTITY_AND_GZIP = 0b101


def create_server(store: TraceStore) -> grpc.aio.Server:
    """A server without a port; call it inside the event loop that owns the store."""
    limit = store.limits.max_body_bytes

    async def export(data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            if data[:2] == b"\x1f\x8b":  # gzip; no protobuf message of this type begins so
                data = gunzip(data, limit)
            outcome = store.add(data)
            if store.journal is not None:
                await store.journal.committed()
        except RefusedError as refused:
            await context.abort(_CODES[refused.status.grpc], refused.message)
        return response_for(outcome).SerializeToString() if outcome.rejected else b""

    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limit),
            ("grpc.so_reuseport", 0),  # a busy port is an error, not a share
            # gRPC would decompress without a limit; the handler does it with one.
            ("grpc.per_message_decompression", 0),
            ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_AND_GZIP),
        ],
        maximum_concurrent_rpcs=1024,
    )
    # Raw bytes on both sides: one decoding, by us, with our limits.
    methods = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    return server


def bind(server: grpc.aio.Server, host: str, port: int, option: str) -> int:
    """Bind the server; the port it got. Raises MeshtrailError when the port is busy."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with suppress(RuntimeError):
        bound = server.add_insecure_port(address)
        if bound:
            return int(bound)
    raise busy_port(host, port, option)


def busy_port(host: str, port: int, option: str, reason: str = "it is in use") -> MeshtrailError:
    return MeshtrailError(
        f"cannot listen on {host} port {port} ({option}): {reason}",
        mend=f"stop what listens there, or choose another port with {option} (0: any free one)",
    )


def probe(host: str, port: int, option: str) -> None:
    """Raise MeshtrailError early and in words when `port` is taken: gRPC logs its own lines before it says so."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probing:
        probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probing.bind((host, port))
        except OSError as error:
            raise busy_port(host, port, option, error.strerror or str(error)) from None
