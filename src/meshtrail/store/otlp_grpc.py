"""OTLP over gRPC: TraceService/Export."""

from __future__ import annotations

from collections.abc import Awaitable

from meshtrail.store.grpc.server import GrpcServer
from meshtrail.store.otlp import response_for
from meshtrail.store.store import Journal, TraceStore

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def create_server(store: TraceStore) -> GrpcServer:
    """A server that is not started yet."""

    def export(data: bytes) -> bytes | Awaitable[bytes]:
        outcome = store.add(data)
        answer = response_for(outcome).SerializeToString() if outcome.rejected else b""
        return answer if store.journal is None else _when_committed(store.journal, answer)

    return GrpcServer(EXPORT, export, store.limits.max_body_bytes)


async def _when_committed(journal: Journal, answer: bytes) -> bytes:
    await journal.committed()
    return answer
