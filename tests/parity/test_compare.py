"""What the comparison keeps, and what it leaves out."""

from __future__ import annotations

import json
from typing import Any

from tests.parity import compare


def span(name: str, start: int, parent: str | None = None, **tags: Any) -> dict[str, Any]:
    return {
        "service": "shop",
        "kind": tags.get("span.kind", "server"),
        "operation": "GET",
        "span": name,
        "parent": parent,
        "start_us": start,
        "duration_us": 1,
        "tags": tags,
        "process_tags": {},
        "logs": [],
    }


def trace(name: str, start: int, **tags: Any) -> dict[str, Any]:
    return {"trace": name, "spans": [span(f"{name}-1", start, **tags), span(f"{name}-2", start + 5, f"{name}-1")]}


def test_of_many_traces_the_first_of_each_kind_is_kept_and_counted() -> None:
    traces = [trace("c", 30, version="v1"), trace("a", 10, version="v1"), trace("b", 20, version="v2")]
    kept = compare.examples(traces, {}, every=False)
    assert [one["trace"] for one in kept["traces"]] == ["a", "b"]
    assert kept["times"] == [2, 1]
    assert [one["start_us"] for one in kept["traces"][1]["spans"]] == [10, 15]
    assert [one["trace"] for one in compare.examples(traces, {}, every=True)["traces"]] == ["a", "b", "c"]


def test_nothing_is_kept_of_nothing() -> None:
    assert compare.examples([], {}, every=True) == {"traces": []}


def test_a_recording_is_read_as_it_was_written() -> None:
    recording = {"situation": "one", "responses": [[200, "ä"]], **compare.examples([trace("a", 1)], {}, every=True)}
    assert json.loads(compare.dump(recording)) == recording
    assert json.loads(compare.dump({"situation": "none", "traces": []})) == {"situation": "none", "traces": []}


def test_ids_times_and_addresses_do_not_count_and_values_do() -> None:
    one, other = trace("a", 1, node_id="x", **{"client.port": 1}), trace("b", 7, node_id="y", **{"client.port": 2})
    assert compare.shape([one], {}) == compare.shape([other], {})
    changed = trace("c", 1, node_id="x", **{"client.port": 1, "http.status_code": "503"})
    assert compare.differences(compare.shape([changed], {}), compare.shape([one], {})) == [
        '+     "http.status_code": "503",'
    ]


def test_of_the_address_that_an_sdk_called_the_path_counts() -> None:
    def client(url: str) -> list[Any]:
        tags = {"span.kind": "client", "url.full": url, "server.address": "x"}
        return compare.shape([{"trace": "a", "spans": [span("s", 1, **tags)]}], {})

    assert client("http://backend:8080/api/data") == client("http://127.0.0.1:4711/api/data")
    assert client("http://backend:8080/api/data") != client("http://backend:8080/api/other")


def test_the_client_s_own_trace_is_not_any_trace() -> None:
    assert compare.shape([trace("a", 1)], {"trace": "a"}) != compare.shape([trace("a", 1)], {"trace": "b"})
