"""OTLP as both transports need it: decode a request, say in the answer what was rejected."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from meshtrail.store.refused import MALFORMED, RefusedError
from meshtrail.store.store import Outcome


def decode_request(data: bytes) -> ExportTraceServiceRequest:
    """Raises RefusedError when the bytes are not an ExportTraceServiceRequest."""
    try:
        return ExportTraceServiceRequest.FromString(data)
    except DecodeError:
        from meshtrail.store.utf8 import decode_with_broken_text

        repaired = decode_with_broken_text(data)
        if repaired is None:
            raise RefusedError(MALFORMED, "the body is not an OTLP ExportTraceServiceRequest in protobuf") from None
        return repaired


def response_for(outcome: Outcome) -> ExportTraceServiceResponse:
    """Empty on full success; OTLP's partial_success names what was rejected, which must not be sent again."""
    response = ExportTraceServiceResponse()
    if outcome.rejected:
        response.partial_success.rejected_spans = outcome.rejected
        response.partial_success.error_message = outcome.reason
    return response
