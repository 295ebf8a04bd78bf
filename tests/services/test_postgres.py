"""database, in each language, on a real PostgreSQL and on SQLite files: seeding, loss and return of the store."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.services.harness import DATABASES, FORMS, Collector, Implementation, Process, wait_for
from tests.services.postgres import PASSWORD, Postgres, private_server

each = pytest.mark.parametrize("implementation", DATABASES, ids=str)
each_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with private_server() as server:
        yield server


@pytest.fixture
def postgres(server: Postgres) -> Postgres:
    """A running server without our table."""
    if server.process is None:
        server.start()
    server.execute("DROP TABLE IF EXISTS records")
    return server


@contextmanager
def database(implementation: Implementation, form: str, url: str, **environment: str) -> Iterator[Process]:
    with Process(implementation, form, DATABASE_URL=url, **environment) as process:
        yield process
    assert PASSWORD not in "\n".join(process.lines)


def filled_once(url: str) -> None:
    """Start two instances in each language at once, on the same rows."""
    with ThreadPoolExecutor(4) as pool:
        started = [pool.submit(Process, one, "plain", DATABASE_URL=url) for one in DATABASES * 2]
        processes = [one.result() for one in started]
        try:
            assert {answer.status_code for answer in pool.map(lambda one: one.get("/readyz"), processes)} == {200}
            assert [one.get().json()["records"] for one in processes] == [42] * 4
        finally:
            assert [one.stop() for one in processes] == [0] * 4


def _answers(process: Process) -> bool:
    return bool(process.get().status_code == 200)


def _messages(process: Process) -> list[str]:
    return [entry["message"] for entry in process.logs()]


@each
@each_form
def test_counts_rows_of_a_real_table(implementation: Implementation, postgres: Postgres, form: str) -> None:
    with database(implementation, form, postgres.url, OTEL_TRACES_EXPORTER="none") as process:
        assert process.get("/readyz").status_code == 200
        assert process.get().json() == implementation.answer
        postgres.execute("DELETE FROM records WHERE id = 42")
        assert process.get().json()["records"] == 41
        postgres.execute("DROP TABLE records")
        assert process.get().json() == implementation.answer, "made anew"


def test_starts_at_the_same_time_fill_it_once(postgres: Postgres) -> None:
    filled_once(postgres.url)


@each
@each_form
def test_server_that_goes_and_comes_back(implementation: Implementation, postgres: Postgres, form: str) -> None:
    with database(implementation, form, postgres.url, OTEL_TRACES_EXPORTER="none") as process:
        with ThreadPoolExecutor(8) as pool:
            assert {one.status_code for one in pool.map(lambda _: process.get(), range(100))} == {200}
        postgres.stop()
        for path in ("/query", "/readyz"):
            answer = process.get(path)
            assert (answer.status_code, answer.json()) == (503, {"error": "store postgresql is not available"})
        assert process.get("/healthz").status_code == 200
        postgres.start()
        assert process.get().status_code == 200, "the first request after its return"
        assert process.get("/readyz").status_code == 200
        # The answer may be here before the line that was written first: another pipe, another thread.
        wait_for(lambda: "store postgresql is back" in _messages(process), "the line that says so")
        assert len([one for one in _messages(process) if one.startswith("store postgresql is down: ")]) == 1


@each
def test_restart_between_two_requests_costs_none(implementation: Implementation, postgres: Postgres) -> None:
    """Kept connections died with the server; they are replaced, not reported."""
    with database(implementation, "plain", postgres.url) as process:
        with ThreadPoolExecutor(8) as pool:
            assert {one.status_code for one in pool.map(lambda _: process.get(), range(50))} == {200}
        postgres.stop()
        postgres.start()
        with ThreadPoolExecutor(8) as pool:
            assert {one.status_code for one in pool.map(lambda _: process.get(), range(50))} == {200}


@each
def test_starts_without_its_server(implementation: Implementation, server: Postgres) -> None:
    server.stop()
    with database(implementation, "plain", server.url) as process:
        assert process.get("/healthz").status_code == 200
        assert process.get("/readyz").status_code == 503
        server.start()
        wait_for(lambda: _answers(process), "the store to be found")


@each
def test_wrong_password_is_not_shown(implementation: Implementation, postgres: Postgres) -> None:
    with database(implementation, "plain", postgres.url.replace(PASSWORD, PASSWORD + "x")) as process:
        answer = process.get()
        assert (answer.status_code, answer.json()) == (503, {"error": "store postgresql is not available"})


@each
def test_connections_are_bounded(implementation: Implementation, postgres: Postgres) -> None:
    with database(implementation, "plain", postgres.url) as process:
        with ThreadPoolExecutor(16) as pool:  # httpx keeps 20 connections, and may close one of more while it is used
            assert {one.status_code for one in pool.map(lambda _: process.get(), range(300))} == {200}
        with psycopg.connect(postgres.url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
            ).fetchone()
        assert row is not None
        assert 1 <= row[0] <= 8


@each
def test_sql_span_names_the_server(implementation: Implementation, postgres: Postgres) -> None:
    with Collector() as collector:
        with database(implementation, "otel", postgres.url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as process:
            assert process.get("/readyz").status_code == 200
            trace = secrets.token_hex(16)
            process.get(headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
            spans = collector.trace(trace, 2)
        assert {span.trace for span in collector.spans} == {trace}, "neither health nor seeding makes spans"
    sql = spans["SELECT records"]
    assert sql.parent == spans["GET /query"].id
    assert sql.attributes["db.system.name"] == "postgresql"
    assert sql.attributes["db.namespace"] == "postgres"
    assert sql.attributes["server.address"] == "127.0.0.1"
    assert sql.attributes["server.port"] == postgres.port
    assert PASSWORD not in str(spans)


def test_sqlite_file_is_filled_once_and_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/rows.db"
    filled_once(url)
    for implementation in DATABASES:
        with sqlite3.connect(tmp_path / "rows.db") as connection:
            connection.execute("DELETE FROM records WHERE id > 40")
        connection.close()
        with database(implementation, "plain", url) as process:
            assert process.get().json()["records"] == 42


@each
@each_form
def test_sqlite_that_cannot_be_opened_is_503_until_it_can(
    implementation: Implementation, tmp_path: Path, form: str
) -> None:
    with database(implementation, form, f"sqlite:///{tmp_path}/later/rows.db", OTEL_TRACES_EXPORTER="none") as process:
        answer = process.get()
        assert (answer.status_code, answer.json()) == (503, {"error": "store sqlite is not available"})
        assert process.get("/healthz").status_code == 200
        assert process.get("/readyz").status_code == 503
        (tmp_path / "later").mkdir()
        assert process.get().json() == implementation.answer
