from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.doctor.mesh import Mesh
from tests.model.recorded import as_jaeger, recorded
from tests.reading.jaeger_server import jaeger_server

from meshtrail.cli import group, main
from meshtrail.model.trace import Trace


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["doctor", *arguments], standalone_mode=False)


def ago(seconds: float) -> int:
    return int((time.time() - seconds) * 1_000_000)


def file_of(traces: Iterable[Trace], folder: Path) -> str:
    path = folder / "traces.json"
    path.write_text(json.dumps({"data": [as_jaeger(trace) for trace in traces]}))
    return str(path)


def test_a_healthy_jaeger_is_status_0() -> None:
    with jaeger_server(*Mesh().requests(5, every_us=3_000, at_us=ago(60)).traces()) as server:
        result = run("--jaeger", server.url)
    assert result.return_value == 0, result.output
    assert result.stdout.startswith(f"5 traces of 5 requests from {server.url}\n")
    assert result.stdout.endswith("healthy: nothing found\n")


def test_a_break_is_status_1_and_names_who() -> None:
    with jaeger_server(*recorded("otlp-backend-none", at_us=ago(60))) as server:
        result = run("--jaeger", server.url)
        as_json = run("--jaeger", server.url, "--json")
    assert result.return_value == as_json.return_value == 1
    assert "backend.default drops the tracing headers on its calls to database.default" in " ".join(
        result.stdout.split()
    )
    (finding,) = json.loads(as_json.stdout)["findings"]
    assert (finding["rule"], finding["service"]) == ("headers-dropped", "backend.default")


def test_a_file_is_looked_at_whatever_its_age(tmp_path: Path) -> None:
    result = run("--file", file_of(recorded("otlp-backend-b3"), tmp_path))
    assert result.return_value == 1
    assert "format-mismatch  backend.default -> database.default" in result.stdout


def test_notes_alone_are_status_0(tmp_path: Path) -> None:
    mesh = Mesh(modes={"backend": "none"}).requests(10, every_us=20_000)
    mesh.modes = {}
    mesh.requests(10, every_us=20_000, at_us=mesh.spans[-1].end_us + 1_000_000)
    result = run("--file", file_of(mesh.traces(), tmp_path))
    assert result.return_value == 0
    assert "mended since" in " ".join(result.stdout.split())
    assert result.stdout.endswith("healthy: 1 note, no fault\n")


def test_spans_on_their_way_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there at first would be a trace of the gateway alone."""
    monkeypatch.setattr("meshtrail.doctor.examine.SETTLE_US", 2_000_000)
    (whole,) = recorded("otlp-all", at_us=ago(-1))
    with jaeger_server(Trace.of(whole.spans[:2])) as server:

        def arrive() -> None:
            server.traces[0] = whole

        timer = threading.Timer(0.5, arrive)
        timer.start()
        result = run("--jaeger", server.url)
        timer.join()
    assert result.return_value == 0, result.output
    assert "waiting" in result.stderr
    assert "4 services" in result.stdout


@pytest.mark.parametrize("arguments", [(), ("--service", "nobody"), ("--since", "90s")])
def test_nothing_to_look_at_is_status_2_and_helps(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with jaeger_server() as server, pytest.raises(SystemExit) as ended:
        main(["doctor", "--jaeger", server.url, *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "nothing to look at: no traces" in said
    assert "mend: send requests through the mesh" in said
    assert "Traceback" not in said


def test_an_empty_file_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--file", file_of((), tmp_path)])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--jaeger", "http://127.0.0.1:1", "--file", "x"),
        ("--since", "yesterday"),
        ("--since", "0m"),
        ("--limit", "0"),
        ("--target", "cluster", "--file", "x"),
        ("--token", "t"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    assert ended.value.code == 2
    assert "Usage: meshtrail doctor" in capsys.readouterr().err


def test_no_mesh_that_runs_is_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MESHTRAIL_STATE", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 2
    assert "--file F" in capsys.readouterr().err


def test_more_traces_than_the_limit_are_said(tmp_path: Path) -> None:
    result = run("--file", file_of(Mesh().requests(5, every_us=3_000).traces(), tmp_path), "--limit", "3")
    assert "3 traces of 3 requests" in result.stdout
    assert "only the newest 3 traces" in result.stderr
