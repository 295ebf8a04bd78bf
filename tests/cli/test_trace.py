from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner, Result
from tests.model.recorded import recorded
from tests.reading.jaeger_server import JaegerServer, jaeger_server

from meshtrail.cli import group, main


def run(server: JaegerServer, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["trace", "--jaeger", server.url, *arguments], standalone_mode=False)


def test_a_complete_trace_is_drawn_with_status_0() -> None:
    (trace,) = recorded("otlp-all", at_us=int((time.time() - 10) * 1_000_000))
    with jaeger_server(trace) as server:
        for arguments in ((), (trace.trace_id,), ("--last", "1"), ("--request-id", trace.spans[0].request_id or "")):
            result = run(server, *arguments)
            assert result.return_value == 0, result.output
            assert "one trace, complete" in result.output
            assert result.output.count("sidecar") == 5


def test_a_broken_request_is_drawn_whole_with_status_1() -> None:
    first, second = recorded("otlp-backend-none", at_us=int((time.time() - 10) * 1_000_000))
    with jaeger_server(first, second) as server:
        for arguments in ((), (second.trace_id,), ("--service", "database.default")):
            result = run(server, *arguments)
            assert result.return_value == 1
            assert "broken in 2 pieces at backend.default" in result.output
            assert first.trace_id in result.output
            assert second.trace_id in result.output


def test_nothing_found_is_status_1_and_says_what() -> None:
    with jaeger_server() as server:
        result = run(server)
        assert result.return_value == 1
        assert "no traces at http://127.0.0.1" in result.output
        result = run(server, "abc")
        assert result.return_value == 1
        assert "no trace abc" in result.output


def test_json_has_the_documented_shape() -> None:
    first, second = recorded("otlp-backend-none", at_us=int((time.time() - 10) * 1_000_000))
    with jaeger_server(first, second) as server:
        result = run(server, "--json")
    assert result.return_value == 1
    whole = json.loads(result.stdout)
    assert whole["version"] == 1
    (request,) = whole["requests"]
    assert (request["complete"], request["summary"]) == (False, "broken in 2 pieces at backend.default")
    (broken,) = request["breaks"]
    assert broken["started"] == {"trace_id": second.trace_id, "span_id": second.roots[0].span_id}
    assert broken["received"] == [{"trace_id": first.trace_id, "span_id": first.spans[-1].span_id}]
    assert [trace["trace_id"] for trace in request["traces"]] == [first.trace_id, second.trace_id]
    span = request["traces"][0]["spans"][1]
    assert (span["kind"], span["made_by"], span["depth"], span["http_status"]) == ("client", "gateway", 1, 200)
    assert span["parent_id"] == request["traces"][0]["roots"][0]


def test_nothing_found_is_empty_json() -> None:
    with jaeger_server() as server:
        result = run(server, "--json")
    assert json.loads(result.stdout) == {"version": 1, "requests": []}


def test_the_last_few_are_drawn_apart() -> None:
    older = recorded("otlp-all", at_us=int((time.time() - 20) * 1_000_000))
    newer = recorded("fault-abort", at_us=int((time.time() - 10) * 1_000_000))
    with jaeger_server(*older, *newer) as server:
        result = run(server, "--last", "5")
    assert result.return_value == 0
    assert result.output.index(older[0].trace_id) < result.output.index(newer[0].trace_id)


@pytest.mark.parametrize(
    "arguments", [["abc", "--last", "2"], ["--last", "0"], ["--last", "1", "--request-id", "x"], ["not-hex"]]
)
def test_wrong_arguments_are_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with jaeger_server() as server, pytest.raises(SystemExit) as caught:
        main(["trace", "--jaeger", server.url, *arguments])
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_what_is_no_jaeger_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        jaeger_server(answer=(200, "text/html", b"<html>")) as server,
        pytest.raises(SystemExit) as caught,
    ):
        main(["trace", "--jaeger", server.url])
    assert caught.value.code == 2
    assert "mend:" in capsys.readouterr().err
