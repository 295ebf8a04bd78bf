"""Requests that are refused, with the status each protocol has for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """`grpc` is the numeric gRPC code (google.rpc.Code), `http` the HTTP status."""

    grpc: int
    http: int


MALFORMED = Status(grpc=3, http=400)  # INVALID_ARGUMENT: do not send it again
TOO_LARGE = Status(grpc=8, http=413)  # RESOURCE_EXHAUSTED without a retry delay: do not send it again
UNSUPPORTED = Status(grpc=12, http=415)  # UNIMPLEMENTED: an encoding that is not spoken here
UNAVAILABLE = Status(grpc=14, http=503)  # send it again later


class RefusedError(Exception):
    """A request that is not stored, not even in part; `message` says why to the sender."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
