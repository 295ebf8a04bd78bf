"""Keeping traces beyond the process: a SQLite file behind the index.

The file is a journal of the index, not a second store: queries never read it, it is read once at start. What was
acknowledged is committed, and the WAL survives a SIGKILL of the process. Requests that arrive in one turn of the event
loop share a commit.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from meshtrail.errors import MeshtrailError
from meshtrail.store.envelope import Envelope
from meshtrail.store.index import Index, Trace
from meshtrail.store.refused import UNAVAILABLE, RefusedError

log = logging.getLogger(__name__)

APPLICATION_ID = 0x6D747261  # "mtra", in the header of the file
VERSION = 1
# Rows that may wait for the disk before nothing more is taken.
_MAX_WAITING = 50_000

_SCHEMA = """
CREATE TABLE envelope (
    id INTEGER PRIMARY KEY, resource BLOB NOT NULL, resource_schema TEXT NOT NULL,
    scope BLOB NOT NULL, scope_schema TEXT NOT NULL, service TEXT NOT NULL
) STRICT;
CREATE TABLE trace (number INTEGER PRIMARY KEY, id BLOB NOT NULL, received REAL NOT NULL) STRICT;
CREATE TABLE span (
    trace INTEGER NOT NULL, seq INTEGER NOT NULL, envelope INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (trace, seq)
) STRICT, WITHOUT ROWID;
"""


class SqliteJournal:
    """One file, one process: a second store on the same file is refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[tuple[int, int, int, bytes]] = []
        self._traces: list[tuple[int, bytes, float]] = []
        self._gone: list[tuple[int]] = []
        self._new_envelopes: list[tuple[int, bytes, str, bytes, str, str]] = []
        self._envelope_ids: dict[Envelope, int] = {}
        self._next_envelope = 1
        self._clear = False
        self._commit: asyncio.Future[None] | None = None
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        """Raises MeshtrailError for a file that is not ours, of another version, damaged or in use; leaves it as is."""
        path = self._path
        fresh = not path.exists() or path.stat().st_size == 0
        if not fresh and not path.is_file():
            raise MeshtrailError(f"{path} is not a file", mend="give --store the name of a file")
        if not fresh:
            self._check_header()
        try:
            db = sqlite3.connect(path, isolation_level=None, timeout=0.5)
            # Owner only: spans hold addresses and header values.
            os.chmod(path, 0o600)
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            if fresh:
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if fresh:
                db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            else:
                db.execute("BEGIN IMMEDIATE")
                problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
                db.execute("COMMIT")
                if problem != "ok":
                    raise self._damaged(problem)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise MeshtrailError(
                    f"{path} is in use by another trace store", mend="end that one, or give another file with --store"
                ) from None
            raise MeshtrailError(
                f"cannot open {path}: {error}", mend="check that the folder exists and may be written"
            ) from None
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from None
        except OSError as error:
            raise MeshtrailError(
                f"cannot open {path}: {error.strerror}", mend="give another file with --store"
            ) from None
        return db

    def _check_header(self) -> None:
        """Look at the first 100 bytes before SQLite does, which would already write beside a foreign database."""
        try:
            with self._path.open("rb") as file:
                header = file.read(100)
        except OSError as error:
            raise MeshtrailError(f"cannot read {self._path}: {error.strerror}", mend="check its permissions") from None
        if not header.startswith(b"SQLite format 3\0") or len(header) < 100:
            raise self._foreign("it is not a SQLite database")
        application, version = int.from_bytes(header[68:72]), int.from_bytes(header[60:64])
        if application != APPLICATION_ID:
            raise self._foreign("it belongs to another program")
        if version != VERSION:
            raise MeshtrailError(
                f"{self._path} has format {version}, this version writes {VERSION}",
                mend="give another file with --store, or use the version that wrote this one",
            )

    def _foreign(self, why: str) -> MeshtrailError:
        return MeshtrailError(
            f"{self._path} is not a trace store: {why}",
            mend="give the name of a new file with --store; this one is kept",
        )

    def _damaged(self, why: str) -> MeshtrailError:
        return MeshtrailError(
            f"{self._path} is damaged: {why}",
            mend="move it away, or give another file with --store; it was not changed",
        )

    def load(self, index: Index) -> None:
        """Fill the index with what the file holds. Raises MeshtrailError when the file is damaged."""
        try:
            envelopes = {
                number: Envelope(resource, resource_schema, scope, scope_schema, service)
                for number, resource, resource_schema, scope, scope_schema, service in self._db.execute(
                    "SELECT id, resource, resource_schema, scope, scope_schema, service FROM envelope"
                )
            }
            traces = {
                number: Trace(trace_id, number, received)
                for number, trace_id, received in self._db.execute(
                    "SELECT number, id, received FROM trace ORDER BY number"
                )
            }
            for number, envelope, body in self._db.execute(
                "SELECT trace, envelope, body FROM span ORDER BY trace, seq"
            ):
                _take(index, traces[number], envelopes[envelope], body)
        except (sqlite3.DatabaseError, KeyError, DecodeError) as error:
            raise self._damaged(str(error) or type(error).__name__) from None
        for trace in traces.values():
            if trace.keys:
                index.restore(trace)
        self._envelope_ids = {envelope: number for number, envelope in envelopes.items()}
        self._next_envelope = max(envelopes, default=0) + 1

    @property
    def overdue(self) -> bool:
        return len(self._rows) > _MAX_WAITING

    def append(self, trace: Trace, seq: int, envelope: Envelope, body: bytes) -> None:
        number = self._envelope_ids.get(envelope)
        if number is None:
            number = self._envelope_ids[envelope] = self._next_envelope
            self._next_envelope += 1
            self._new_envelopes.append(
                (
                    number,
                    envelope.resource,
                    envelope.resource_schema,
                    envelope.scope,
                    envelope.scope_schema,
                    envelope.service,
                )
            )
        if seq == 0:
            self._traces.append((trace.number, trace.id, trace.received_s))
        self._rows.append((trace.number, seq, number, body))

    def remove(self, traces: Iterable[Trace]) -> None:
        self._gone.extend((trace.number,) for trace in traces)

    def clear(self) -> None:
        self._clear = True
        self._rows.clear()
        self._traces.clear()
        self._gone.clear()
        self._new_envelopes.clear()
        self._envelope_ids.clear()

    async def committed(self) -> None:
        """Wait for the commit that holds everything up to now. Raises RefusedError when the disk refuses."""
        if self._commit is None:
            loop = asyncio.get_running_loop()
            self._commit = loop.create_future()
            # After every request that is ready in this turn of the loop has added its rows.
            loop.call_soon(self._flush)
        await asyncio.shield(self._commit)

    def _flush(self) -> None:
        waiting, self._commit = self._commit, None
        try:
            self._write()
        except sqlite3.Error as error:
            log.error("cannot write %s: %s", self._path, error)
            if waiting is not None and not waiting.done():
                waiting.set_exception(RefusedError(UNAVAILABLE, f"the store's file cannot be written: {error}"))
                waiting.exception()  # looked at, even when every sender has gone
        else:
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    def _write(self) -> None:
        """One transaction; on an error nothing is written and everything stays waiting."""
        if not (self._rows or self._gone or self._clear):
            return
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            if self._clear:
                db.execute("DELETE FROM span")
                db.execute("DELETE FROM trace")
                db.execute("DELETE FROM envelope")
            db.executemany("INSERT INTO envelope VALUES (?, ?, ?, ?, ?, ?)", self._new_envelopes)
            db.executemany("INSERT INTO trace VALUES (?, ?, ?)", self._traces)
            db.executemany("INSERT INTO span VALUES (?, ?, ?, ?)", self._rows)
            db.executemany("DELETE FROM span WHERE trace = ?", self._gone)
            db.executemany("DELETE FROM trace WHERE number = ?", self._gone)
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._clear = False
        self._rows.clear()
        self._traces.clear()
        self._gone.clear()
        self._new_envelopes.clear()

    def close(self) -> None:
        """Write what waits, and leave one tidy file without a WAL beside it."""
        try:
            self._write()
            self._db.execute("DELETE FROM envelope WHERE id NOT IN (SELECT DISTINCT envelope FROM span)")
        except sqlite3.Error as error:
            log.error("cannot write %s: %s", self._path, error)
        self._db.close()


def _take(index: Index, trace: Trace, envelope: Envelope, body: bytes) -> None:
    span = Span.FromString(body)
    key = index.key((envelope.service, span.name, span.kind))
    key.count += 1
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    trace.start_ns = min(trace.start_ns, start) if trace.keys else start
    trace.end_ns = max(trace.end_ns, end)
    trace.keys.append(key)
    trace.envelopes.append(envelope)
    trace.bodies.append(body)
    trace.stored_bytes += len(body)
