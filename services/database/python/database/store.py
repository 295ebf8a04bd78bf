"""The table: 42 rows in SQLite or PostgreSQL, made and filled on first use.

A store that is down fails the query with a 503 and nothing else; the next query tries again, so a database that comes
back is simply used again.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from meshtrail_common.errors import ServiceError
from meshtrail_common.settings import Kind

if TYPE_CHECKING:
    import psycopg

TABLE = "records"
COUNT = f"SELECT count(*) FROM {TABLE}"  # noqa: S608
ROWS = 42
_CREATE = f"CREATE TABLE IF NOT EXISTS {TABLE} (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"
_TIMEOUT = 3  # seconds: to connect, for a lock, for a free connection
_LOCK_KEY = 0x6D657368  # an advisory lock of our own ("mesh")
_CONNECTIONS = 8

_log = logging.getLogger("store")


class Store(ABC):
    """Counts the rows of the table. `system` and `namespace` are named as OpenTelemetry does (db.system.name)."""

    system: str
    namespace: str
    address: str | None = None
    port: int | None = None
    table = TABLE
    query = COUNT

    def __init__(self) -> None:
        self._up: bool | None = None

    def count(self) -> int:
        """Return the number of rows; ServiceError 503 when the store does not answer."""
        try:
            records = self._count()
        except Exception as error:
            if self._up is not False:
                _log.error("store %s is down: %s", self.system, _one_line(error))
            self._up = False
            raise ServiceError(503, f"store {self.system} is not available") from error
        if self._up is False:
            _log.info("store %s is back", self.system)
        self._up = True
        return records

    @abstractmethod
    def _count(self) -> int: ...

    @abstractmethod
    def close(self) -> None: ...


class SqliteStore(Store):
    """One connection, used by one thread at a time: a count takes microseconds."""

    system = "sqlite"

    def __init__(self, path: str) -> None:
        super().__init__()
        self.namespace = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def _count(self) -> int:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                return int(self._connection.execute(COUNT).fetchone()[0])
            except sqlite3.Error:
                self._close()
                raise

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.namespace, timeout=_TIMEOUT, check_same_thread=False, isolation_level=None, uri=False
        )
        try:
            # IMMEDIATE takes the write lock at once: a second process that starts now waits instead of failing.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_CREATE)
            connection.executemany(f"INSERT OR IGNORE INTO {TABLE} VALUES (?, ?)", _rows())  # noqa: S608
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        with self._lock:
            self._close()


class PostgresStore(Store):
    """At most 8 connections, kept and reused; one that broke is replaced."""

    system = "postgresql"

    def __init__(self, url: str) -> None:
        super().__init__()
        parts = urlsplit(url)
        self._url = url
        self.namespace = unquote(parts.path.lstrip("/")) or "postgres"
        self.address, self.port = parts.hostname, parts.port or 5432
        self._slots = threading.BoundedSemaphore(_CONNECTIONS)
        self._idle: list[psycopg.Connection[Any]] = []
        self._prepared = False

    def _count(self) -> int:
        import psycopg

        while True:
            with self._connection() as (connection, fresh):
                try:
                    if not self._prepared:
                        self._prepare(connection)
                    row = connection.execute(COUNT).fetchone()
                    assert row is not None
                    return int(row[0])
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
        if not self._slots.acquire(timeout=_TIMEOUT):
            raise TimeoutError(f"all {_CONNECTIONS} connections are busy")
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
            connect_timeout=_TIMEOUT,
            options=f"-c statement_timeout={_TIMEOUT * 1000}",
        )

    def _prepare(self, connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            # CREATE TABLE IF NOT EXISTS fails when two run it at once; the lock lets them pass one by one.
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
            connection.execute(_CREATE)
            connection.cursor().executemany(f"INSERT INTO {TABLE} VALUES (%s, %s) ON CONFLICT DO NOTHING", _rows())  # noqa: S608
        self._prepared = True

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def open_store(url: str) -> Store:
    """Return the store of a DATABASE_URL; nothing is opened before the first query."""
    if url.startswith("sqlite:"):
        return SqliteStore(_sqlite_path(url))
    return PostgresStore(url)


def _rows() -> list[tuple[int, str]]:
    return [(number, f"record {number}") for number in range(1, ROWS + 1)]


def _sqlite_path(url: str) -> str:
    """sqlite:// is in memory, sqlite:///a.db relative to the working directory, sqlite:////a.db absolute."""
    return unquote(url.removeprefix("sqlite://")[1:]) or ":memory:"


def _database_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme == "sqlite" and not url.netloc and not url.query:
        return value
    if url.scheme in ("postgresql", "postgres") and (url.port is None or url.port > 0):
        import psycopg

        try:
            psycopg.conninfo.conninfo_to_dict(value)
        except psycopg.Error:
            raise ValueError from None
        return value
    raise ValueError


DATABASE = Kind(_database_url, "sqlite:// (in memory), sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
