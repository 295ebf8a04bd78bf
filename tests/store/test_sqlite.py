"""The file behind --store."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from tests.store.conftest import RunningStore, StartStore, http
from tests.store.spans import new_trace_id, request

from meshtrail.errors import MeshtrailError
from meshtrail.store.sqlite import SqliteJournal

_HEADERS = {"content-type": "application/x-protobuf"}


def send(running: RunningStore, trace_id: bytes, spans: int = 3) -> None:
    body = request(trace_id, spans).SerializeToString()
    http.post(f"{running.otlp_http}/v1/traces", content=body, headers=_HEADERS).raise_for_status()


def span_count(running: RunningStore, trace_id: bytes) -> int:
    response = http.get(f"{running.query}/api/traces/{trace_id.hex()}")
    return len(response.json()["data"][0]["spans"]) if response.is_success else 0


def test_what_was_acknowledged_survives_sigkill(start_store: StartStore, tmp_path: Path) -> None:
    file = tmp_path / "traces.db"
    first = start_store("--store", str(file))
    ids = [new_trace_id() for _ in range(50)]
    with grpc.insecure_channel(first.otlp_grpc) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        for future in [export.future(request(trace_id, 3).SerializeToString()) for trace_id in ids]:
            future.result(10)
    first.process.kill()
    first.process.wait()
    second = start_store("--store", str(file))
    assert [span_count(second, trace_id) for trace_id in ids] == [3] * 50
    assert http.get(f"{second.query}/api/services").json()["data"] == ["frontend.default"]
    # A repeat that the exporter sends because the first answer was lost is still a repeat.
    send(second, ids[0])
    assert span_count(second, ids[0]) == 3


def test_sigterm_leaves_one_file(start_store: StartStore, tmp_path: Path) -> None:
    file = tmp_path / "traces.db"
    first = start_store("--store", str(file))
    send(first, trace_id := new_trace_id())
    first.process.terminate()
    assert first.process.wait(10) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["traces.db"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert span_count(start_store("--store", str(file)), trace_id) == 3


def test_eviction_and_deletion_reach_the_file(start_store: StartStore, tmp_path: Path) -> None:
    file = tmp_path / "traces.db"
    ids = [new_trace_id() for _ in range(5)]
    first = start_store("--store", str(file), "--max-traces", "2")
    for trace_id in ids:
        send(first, trace_id)
    first.process.terminate()
    assert first.process.wait(10) == 0
    second = start_store("--store", str(file))
    assert [span_count(second, trace_id) for trace_id in ids] == [0, 0, 0, 3, 3]
    assert http.delete(f"{second.query}/api/traces").json()["data"] == {"deletedTraces": 2}
    send(second, kept := new_trace_id())
    second.process.kill()
    second.process.wait()
    third = start_store("--store", str(file))
    assert [span_count(third, trace_id) for trace_id in [*ids, kept]] == [0, 0, 0, 0, 0, 3]


def _foreign(file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE precious (x)")
    db.close()


def _newer(file: Path) -> None:
    SqliteJournal(file).close()
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version = 99")
    db.close()


def _damaged(file: Path) -> None:
    SqliteJournal(file).close()
    data = bytearray(file.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: file.write_text("my notes, for a long time the only copy"), "not a SQLite database"),
        (lambda file: file.write_bytes(b"SQLite format 3\0"), "not a SQLite database"),
        (_foreign, "belongs to another program"),
        (_newer, "has format 99"),
        (_damaged, "is damaged"),
        (lambda file: file.mkdir(), "is not a file"),
    ],
    ids=["text", "cut", "foreign", "newer", "damaged", "folder"],
)
def test_a_file_that_is_not_ours_is_refused_and_kept(make, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "traces.db"
    make(file)
    before = file.read_bytes() if file.is_file() else b""
    with pytest.raises(MeshtrailError, match=message) as error:
        SqliteJournal(file)
    assert error.value.mend
    assert (file.read_bytes() if file.is_file() else b"") == before


def test_a_file_in_use_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "traces.db"
    journal = SqliteJournal(file)
    with pytest.raises(MeshtrailError, match="in use by another trace store"):
        SqliteJournal(file)
    journal.close()
    SqliteJournal(file).close()


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(MeshtrailError, match="cannot open"):
        SqliteJournal(tmp_path / "none" / "traces.db")
