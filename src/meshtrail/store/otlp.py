"""OTLP as both transports need it: decode a request, say in the answer what was rejected."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from meshtrail.store.refused import MALFORMED, RefusedError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the spans of one request; `duplicates` were there already and count as accepted by OTLP."""

    accepted: int
    duplicates: int
    rejected: int
    reason: str


def decode_request(data: bytes) -> tuple[ExportTraceServiceRequest, bytes]:
    """The request and its encoding, which is `data` unless text in it had to be mended.

    Raises RefusedError when the bytes are not an ExportTraceServiceRequest.
    """
    try:
        return ExportTraceServiceRequest.FromString(data), data
    except DecodeError:
        from meshtrail.store.utf8 import with_mended_text

        mended = with_mended_text(data)
        if mended is None:
            raise RefusedError(MALFORMED, "the body is not an OTLP ExportTraceServiceRequest in protobuf") from None
        return ExportTraceServiceRequest.FromString(mended), mended


def response_for(outcome: Outcome) -> ExportTraceServiceResponse:
    """Empty on full success; OTLP's partial_success names what was rejected, which must not be sent again."""
    response = ExportTraceServiceResponse()
    if outcome.rejected:
        response.partial_success.rejected_spans = outcome.rejected
        response.partial_success.error_message = outcome.reason
    return response
