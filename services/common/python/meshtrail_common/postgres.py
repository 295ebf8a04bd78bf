"""A table in PostgreSQL: at most 8 connections, kept and reused, and a server that may go and come back.

Nothing is opened before the first query. psycopg is imported then, or when a URL is checked: a service that keeps its
data elsewhere never loads it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import psycopg

SYSTEM = "postgresql"  # OpenTelemetry's db.system.name
URL_FORM = "postgresql://USER:PASSWORD@HOST:PORT/NAME"
TIMEOUT = 3  # seconds: to connect, for a statement, for a free connection
CONNECTIONS = 8
_LOCK_KEY = 0x6D657368  # an advisory lock of our own ("mesh")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is made and filled when it is first used: `create` and `insert` may run again and change nothing."""

    create: LiteralString
    insert: LiteralString
    rows: Sequence[tuple[Any, ...]]


class Postgres:
    """One database, safe to share between threads; `namespace`, `address` and `port` are for its spans."""

    def __init__(self, url: str, table: Table) -> None:
        parts = urlsplit(url)
        self.namespace = unquote(parts.path.lstrip("/")) or "postgres"
        self.address, self.port = parts.hostname, parts.port or 5432
        self._url = url
        self._table = table
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: list[psycopg.Connection[Any]] = []
        self._prepared = False

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        """Return what a SELECT finds; psycopg.Error or TimeoutError when the database does not answer."""
        import psycopg

        while True:
            with self._connection() as (connection, fresh):
                try:
                    if not self._prepared:
                        self._prepare(connection)
                    return connection.execute(query).fetchall()
                except psycopg.Error as error:
                    connection.close()
                    # Somebody may have dropped the table, or brought up an empty server: look again next time.
                    self._prepared = False
                    # A kept connection dies with the server it was made to; only a fresh one proves anything.
                    if fresh or not isinstance(error, (psycopg.OperationalError, psycopg.errors.UndefinedTable)):
                        raise

    @contextmanager
    def _connection(self) -> Iterator[tuple[psycopg.Connection[Any], bool]]:
        """Lend a connection, and tell whether it is fresh."""
        if not self._slots.acquire(timeout=TIMEOUT):
            raise TimeoutError(f"all {CONNECTIONS} connections are busy")
        try:
            try:
                connection, fresh = self._idle.pop(), False
            except IndexError:
                connection, fresh = self._connect(), True
            try:
                yield connection, fresh
            finally:
                if not connection.closed:
                    self._idle.append(connection)
        finally:
            self._slots.release()

    def _connect(self) -> psycopg.Connection[Any]:
        import psycopg

        return psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=TIMEOUT,
            options=f"-c statement_timeout={TIMEOUT * 1000}",
        )

    def _prepare(self, connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            # CREATE TABLE IF NOT EXISTS fails when two run it at once; the lock lets them pass one by one.
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
            connection.execute(self._table.create)
            connection.cursor().executemany(self._table.insert, self._table.rows)
        self._prepared = True

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def check_url(value: str) -> str:
    """Return a URL that PostgreSQL's own rules accept; ValueError otherwise."""
    url = urlsplit(value)
    if url.scheme not in ("postgresql", "postgres") or (url.port is not None and url.port == 0):
        raise ValueError
    import psycopg

    try:
        psycopg.conninfo.conninfo_to_dict(value)
    except psycopg.Error:
        raise ValueError from None
    return value
