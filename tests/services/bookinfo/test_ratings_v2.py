"""ratings v2 on a real PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.services.bookinfo.conftest import RATINGS
from tests.services.harness import Collector, Process, wait_for
from tests.services.postgres import PASSWORD, Postgres, private_server

DOWN = {"error": "the ratings database is not available"}
PARENT = "b7ad6b7169203331"

# One server and one process, which tell what they did before: on one worker, in this order.
pytestmark = pytest.mark.xdist_group("ratings-v2")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with private_server() as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def v2(postgres: Postgres, collector: Collector) -> Iterator[Process]:
    environment = {"DATABASE_URL": postgres.url, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with Process(RATINGS, "otel", SERVICE_VERSION="v2", DB_TYPE="postgresql", **environment) as process:
        yield process
    assert PASSWORD not in "\n".join(process.lines)


def ratings(process: Process) -> dict[str, int]:
    answer = process.get("/ratings/7")
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["id"] == 7
    return dict(content["ratings"])


def test_reads_the_table_that_it_made(postgres: Postgres, v2: Process) -> None:
    assert ratings(v2) == {"Reviewer1": 5, "Reviewer2": 4}
    postgres.execute("UPDATE ratings SET Rating = 1 WHERE ReviewID = 2")
    postgres.execute("INSERT INTO ratings VALUES (3, 3)")
    assert ratings(v2) == {"Reviewer1": 5, "Reviewer2": 1}, "the first two rows, in their order"
    postgres.execute("DELETE FROM ratings WHERE ReviewID > 1")
    assert ratings(v2) == {"Reviewer1": 5, "Reviewer2": 0}
    postgres.execute("DROP TABLE ratings")
    assert ratings(v2) == {"Reviewer1": 5, "Reviewer2": 4}, "made anew"


def test_cannot_be_posted(v2: Process) -> None:
    answer = v2.client.post("/ratings/7", json={"Reviewer1": 1})
    assert (answer.status_code, answer.json()) == (501, {"error": "ratings in a database cannot be posted"})
    assert v2.client.post("/ratings/7", content=b"{").status_code == 400
    assert v2.client.post("/ratings/x", json={}).status_code == 400


def test_query_is_a_span_below_the_servers(postgres: Postgres, v2: Process, collector: Collector) -> None:
    trace = secrets.token_hex(16)
    for path in ("/readyz", "/health", "/ratings/7"):
        assert v2.get(path, headers={"traceparent": f"00-{trace}-{PARENT}-01"}).status_code == 200
    spans = collector.trace(trace, 2)
    sql = spans["SELECT ratings"]
    assert (sql.kind, sql.parent) == ("client", spans["GET /ratings/<product>"].id)
    assert sql.attributes["db.query.text"] == "SELECT Rating FROM ratings ORDER BY ReviewID LIMIT 2"
    assert sql.attributes["server.port"] == postgres.port
    assert PASSWORD not in str(spans)


def test_server_that_goes_and_comes_back(postgres: Postgres, v2: Process, collector: Collector) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert {answer.status_code for answer in pool.map(lambda _: v2.get("/ratings/7"), range(50))} == {200}
    postgres.stop()
    trace = secrets.token_hex(16)
    answer = v2.get("/ratings/7", headers={"traceparent": f"00-{trace}-{PARENT}-01"})
    assert (answer.status_code, answer.json()) == (500, DOWN)
    spans = collector.trace(trace, 2)
    assert all(span.error and "exception" in span.events for span in spans.values())
    ready = v2.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, DOWN)
    assert v2.get("/health").status_code == v2.get("/healthz").status_code == 200
    postgres.start()
    assert ratings(v2) == {"Reviewer1": 5, "Reviewer2": 4}, "the first request after its return"
    assert v2.get("/readyz").status_code == 200
    wait_for(lambda: "store postgresql is back" in [entry["message"] for entry in v2.logs()], "the log line")
