"""Errors that a service answers with `{"error": ...}`: never a stack trace, always a name."""

from __future__ import annotations


class ServiceError(Exception):
    """An expected failure: `status` is the HTTP status of the answer, `message` its text, fit for the caller's eyes."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def ignore(error: Exception) -> None:
    """What the plain form does with an error beyond answering and logging it: nothing."""
