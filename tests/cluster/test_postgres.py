"""PostgreSQL on the cluster: it goes away and comes back, and its data was never gone."""

from __future__ import annotations

import base64

import pytest
from tests.cluster.support import Application, get
from tests.support.mesh import eventually

pytestmark = pytest.mark.cluster


def _sql(staging: Application, statement: str) -> str:
    """Over the socket, whose owner needs no password."""
    command = ["psql", "--username=database", "--dbname=database", "--tuples-only", "--no-align", "--quiet"]
    return staging.kubectl("exec", "postgres-0", "-c", "postgres", "--", *command, f"--command={statement}").strip()


def _records(staging: Application) -> object:
    answer = staging.get()
    return answer.status_code == 200 and answer.json()["backend_data"]["database_data"]["records"]


def test_a_row_outlives_the_pod_and_requests_recover(staging: Application) -> None:
    _sql(staging, "INSERT INTO records VALUES (1000, 'kept')")
    try:
        assert _records(staging) == 43
        old = get("pod", "postgres-0", "-n", staging.namespace)["metadata"]["uid"]
        staging.kubectl("delete", "pod", "postgres-0", "--wait=false")
        # It is really away: an answer of the store that is down, or of a sidecar that finds no ready pod of database.
        eventually(lambda: staging.get().status_code == 502, within=30, what="requests fail without PostgreSQL")
        assert "error" in staging.get().json()
        eventually(lambda: _records(staging) == 43, within=90, what="requests recover, with the row")
        assert get("pod", "postgres-0", "-n", staging.namespace)["metadata"]["uid"] != old
    finally:
        _sql(staging, "DELETE FROM records WHERE id = 1000")
    assert _records(staging) == 42


def test_connections_over_the_network_need_the_password_of_the_secret(staging: Application) -> None:
    secret = get("secret", "postgres", "-n", staging.namespace)["data"]
    url = base64.b64decode(secret["url"]).decode()
    password = base64.b64decode(secret["password"]).decode()
    assert f":{password}@postgres:5432/database" in url
    script = (
        "import sys, psycopg; print(*psycopg.connect(sys.argv[1], connect_timeout=5).execute('SELECT 1').fetchone())"
    )
    command = ("exec", "deploy/database", "-c", "database", "--", "python", "-c", script)
    assert staging.kubectl(*command, url).strip() == "1"
    refused = staging.kubectl(*command, url.replace(f":{password}@", ":wrong@"), status=None)
    assert "password authentication failed" in refused
