"""Traces from a file: Jaeger's JSON (the download of its UI, an answer of its API) or OTLP/JSON.

OTLP/JSON may be one document, or one a line as the Collector's file exporter writes it. Any of them may be gzipped.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from meshtrail.errors import MeshtrailError
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace
from meshtrail.reading import decode, otlp

GZIP = b"\x1f\x8b"
KINDS = (
    "Jaeger JSON (the download of Jaeger's UI, or an answer of its API) or OTLP JSON (the Collector's file exporter)"
)
HOW = f"a file of traces is {KINDS}"


def read_traces(path: str | Path) -> tuple[Trace, ...]:
    """All traces, in order of start; spans of one trace may stand in several documents. `-`: standard input.

    Raises MeshtrailError that names file, line and column.
    """
    if str(path) == "-":
        return _read(sys.stdin.buffer, "standard input")
    try:
        with Path(path).open("rb") as file:
            return _read(file, str(path))
    except IsADirectoryError:
        raise MeshtrailError(f"{path} is a folder", mend="name one file in it") from None
    except OSError as error:
        raise MeshtrailError(f"{path} cannot be read: {error.strerror or error}", mend="is the path right?") from error


def _read(file: BinaryIO, name: str) -> tuple[Trace, ...]:
    spans: list[Span] = []
    documents = 0
    try:
        for line, document in _documents(_plain(file), name):
            documents += 1
            try:
                spans.extend(_spans(document))
            except ValueError as error:
                where = f"{name}, line {line}" if documents > 1 or line > 1 else name
                raise MeshtrailError(f"{where}: {error}", mend=HOW) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise MeshtrailError(f"{name} is no whole gzip file: {error}", mend="get it again: a part is missing") from None
    if not documents:
        raise MeshtrailError(f"{name} is empty", mend="was the download or the export finished? " + HOW)
    if not spans:
        raise MeshtrailError(f"{name} holds no span", mend="was the search that it comes from empty?")
    return otlp.traces_of(spans)


def _plain(file: BinaryIO) -> BinaryIO:
    """The same, unpacked when it is gzipped."""
    buffered = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
    begin = buffered.read(len(GZIP))
    whole = _Joined(begin, buffered)
    return cast(BinaryIO, gzip.GzipFile(fileobj=whole) if begin == GZIP else io.BufferedReader(whole))


class _Joined(io.RawIOBase):
    """What was read already, and the rest: standard input cannot be wound back."""

    def __init__(self, begin: bytes, rest: BinaryIO) -> None:
        self._begin = begin
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._begin or self._rest.read(len(buffer))
        taken, self._begin = data[: len(buffer)], data[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _documents(file: BinaryIO, name: str) -> Iterator[tuple[int, Any]]:
    """Every JSON document, with the line on which it begins; one a line is read line by line."""
    for number, line in enumerate(file):
        if line.strip():
            try:
                document = json.loads(line)
            except (ValueError, RecursionError):
                # Not one a line, or not whole: all that is left, at once.
                yield from _any_documents(_text(line + file.read(), name, number), name, number)
                return
            yield number + 1, document


def _text(data: bytes, name: str, line: int) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = line + before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise MeshtrailError(f"{name}, line {line}, column {column}: no text in UTF-8", mend=HOW) from None


def _any_documents(text: str, name: str, line: int) -> Iterator[tuple[int, Any]]:
    """One document over several lines, or several without anything between; `line` lines came before."""
    if text.lstrip()[:1] == "<":
        raise MeshtrailError(
            f"{name} is a web page, not JSON",
            mend="save what the API answers (/api/traces?service=NAME), or take the download of Jaeger's UI",
        )
    decoder = json.JSONDecoder()
    before, at = line, 0
    while True:
        begin = _skip_space(text, at)
        line += text.count("\n", at, begin)
        if begin == len(text):
            return
        try:
            document, at = decoder.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            raise _malformed(name, text, error, before) from None
        except RecursionError:
            raise MeshtrailError(f"{name}, line {line + 1}: JSON nested too deep for traces", mend=HOW) from None
        yield line + 1, document
        line += text.count("\n", begin, at)


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _malformed(name: str, text: str, error: json.JSONDecodeError, before: int) -> MeshtrailError:
    where = f"{name}, line {before + error.lineno}, column {error.colno}"
    if error.msg.startswith("Unterminated string") or _skip_space(text, error.pos) == len(text):
        return MeshtrailError(
            f"{where}: the file ends in the middle of a document",
            mend="a part is missing: get it again, or leave out that line if it is still being written",
        )
    return MeshtrailError(f"{where}: no JSON: {error.msg}", mend=HOW)


def _spans(document: object) -> list[Span]:
    """The spans of one document, whatever its kind. Raises ValueError when it holds no traces."""
    if isinstance(document, list):
        return [span for one in document for span in _spans(one)]
    if not isinstance(document, dict):
        raise ValueError(f"a document is an object or a list, not {json.dumps(document)[:40]}")
    if document.get("errors") and not document.get("data"):
        raise ValueError(f"this is the answer of a Jaeger that failed: {json.dumps(document['errors'])[:200]}")
    if "data" in document:
        return [span for trace in decode.traces_of(document) for span in trace.spans]
    if "spans" in document and ("traceID" in document or "processes" in document):
        return [span for trace in decode.traces_of({"data": [document]}) for span in trace.spans]
    if document.keys() & {"resourceSpans", "batches", "result"}:
        return otlp.spans_of(document)
    for field, what in (("resourceMetrics", "metrics"), ("resourceLogs", "logs")):
        if field in document:
            raise ValueError(f"these are {what}, not traces")
    if "traceId" in document and "id" in document:
        raise ValueError("these are spans in Zipkin's JSON, which is not read: send them to a Jaeger, and ask that")
    shown = ", ".join(list(document)[:5]) or "none"
    raise ValueError(f"no traces; the fields here are: {shown}")
