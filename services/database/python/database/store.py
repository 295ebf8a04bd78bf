"""The table: 42 rows in SQLite or PostgreSQL, made and filled on first use.

A store that is down fails the query with a 503 and nothing else; the next query tries again, so a database that comes
back is simply used again.
"""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC, abstractmethod
from urllib.parse import unquote, urlsplit

from meshtrail_common import postgres
from meshtrail_common.availability import Availability
from meshtrail_common.errors import ServiceError
from meshtrail_common.postgres import Postgres, Table
from meshtrail_common.settings import Kind

TABLE = "records"
COUNT = f"SELECT count(*) FROM {TABLE}"  # noqa: S608
ROWS = 42
_CREATE = f"CREATE TABLE IF NOT EXISTS {TABLE} (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"
_LOCK_TIMEOUT = 3  # seconds


class Store(ABC):
    """Counts the rows of the table. `system` and `namespace` are named as OpenTelemetry does (db.system.name)."""

    system: str
    namespace: str
    address: str | None = None
    port: int | None = None
    table = TABLE
    query = COUNT

    def __init__(self) -> None:
        self._availability = Availability(self.system)

    def count(self) -> int:
        """Return the number of rows; ServiceError 503 when the store does not answer."""
        try:
            with self._availability.watch():
                return self._count()
        except Exception as error:
            raise ServiceError(503, f"store {self.system} is not available") from error

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
            self.namespace, timeout=_LOCK_TIMEOUT, check_same_thread=False, isolation_level=None, uri=False
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
    system = postgres.SYSTEM

    def __init__(self, url: str) -> None:
        super().__init__()
        insert = f"INSERT INTO {TABLE} VALUES (%s, %s) ON CONFLICT DO NOTHING"  # noqa: S608
        self._database = Postgres(url, Table(_CREATE, insert, _rows()))
        self.namespace = self._database.namespace
        self.address, self.port = self._database.address, self._database.port

    def _count(self) -> int:
        return int(self._database.rows(COUNT)[0][0])

    def close(self) -> None:
        self._database.close()


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
    if value.startswith("sqlite://") and not url.netloc and not url.query:
        return value
    return postgres.check_url(value)


DATABASE = Kind(_database_url, f"sqlite:// (in memory), sqlite:///FILE or {postgres.URL_FORM}")
