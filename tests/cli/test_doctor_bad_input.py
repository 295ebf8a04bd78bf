"""The doctor where it cannot look: exit status 2, one sentence that says what, where, and what to do; no traceback."""

from __future__ import annotations

import io
import json
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.model.recorded import as_jaeger, recorded
from tests.reading.jaeger_server import jaeger_server

from meshtrail.cli import main
from meshtrail.model.trace import Trace

SECRET = "s3cr3t-w0rd"
JSON = "application/json"


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | str | None, str, str]:
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return ended.value.code, out, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status, out, err = doctor(capsys, *arguments)
    assert status == 2, (out, err)
    assert out == ""
    assert "mend:" in err
    assert len(err) < 700
    return err


def now_us() -> int:
    return int(time.time() * 1_000_000)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((401, "text/html", b"<h1>login</h1>"), "--token"),
        ((403, "application/json", b'{"errors": [{"code": 403, "msg": "no"}]}'), "answered 403: no"),
        ((404, "text/plain", b"404 page not found"), "base path"),
        ((429, "text/plain", b"slow down"), "too often"),
        ((500, "application/json", b'{"errors": [{"code": 500, "msg": "disk full"}]}'), "disk full"),
        ((502, "text/html", b"<h1>Bad Gateway</h1>"), "answered 502"),
        ((200, "text/html", b"<!doctype html><title>Grafana</title>"), "a web page"),
        ((200, JSON, b'{"data": [{"traceID": "ab", "sp'), "no complete JSON"),
        ((200, JSON, b'{"status": "success", "data": {"resultType": "matrix"}}'), "not a list"),
        ((200, JSON, b""), "no complete JSON"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_an_answer_that_is_none(capsys: pytest.CaptureFixture[str], answer: tuple[int, str, bytes], text: str) -> None:
    with jaeger_server(answer=answer) as server:
        assert text in refused(capsys, "--jaeger", server.url)


def test_an_answer_that_breaks_off_midway(capsys: pytest.CaptureFixture[str]) -> None:
    """The first questions are answered, the traces are not."""
    (trace,) = recorded("otlp-all", at_us=now_us() - 10**7)
    with jaeger_server(trace) as server:
        reply = server.reply

        def half(path: str, authorization: str = "") -> tuple[int, str, bytes]:
            status, kind, body = reply(path, authorization)
            return status, kind, body[: len(body) // 2] if "traces" in path else body

        server.reply = half  # type: ignore[method-assign]
        assert "no complete JSON" in refused(capsys, "--jaeger", server.url)


def test_nothing_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert "nothing answers" in refused(capsys, "--jaeger", f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert "nothing answers" in refused(capsys, "--jaeger", "http://jaeger.invalid:16686")
    assert "not an http address" in refused(capsys, "--jaeger", "jaeger:16686")


def test_no_answer_in_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshtrail.reading.sources.TIMEOUT_S", 0.2)
    with jaeger_server(hang=True) as server:
        assert "did not answer within 0.2 s" in refused(capsys, "--jaeger", server.url)


def test_no_traces(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (old,) = recorded("otlp-all", at_us=now_us() - 3 * 3_600_000_000)
    with jaeger_server() as server:
        assert "no traces" in refused(capsys, "--jaeger", server.url)
        server.traces.append(old)
        said = refused(capsys, "--jaeger", server.url, "--since", "1h")
        assert "last 1h" in said
        assert "--since" in said
        assert "no such service" not in refused(capsys, "--jaeger", server.url, "--service", "none", "--since", "1d")
    empty = tmp_path / "empty.json"
    empty.write_text("")
    assert "empty.json is empty" in refused(capsys, "--file", str(empty))


def test_half_a_file_and_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "half.json"
    whole = json.dumps({"data": [as_jaeger(trace) for trace in recorded("otlp-all")]})
    file.write_text(whole[: len(whole) * 2 // 3])
    assert "half.json, line 1, column" in refused(capsys, "--file", str(file))
    assert "No such file" in refused(capsys, "--file", str(tmp_path / "none.json"))
    file.write_text("<html><title>Jaeger UI</title>")
    assert "a web page" in refused(capsys, "--file", str(file))


def test_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [as_jaeger(trace) for trace in recorded("otlp-backend-none")]
    raw = io.BytesIO(json.dumps({"data": pieces}).encode())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=raw, isatty=lambda: False))
    status, out, _ = doctor(capsys, "--file", "-", "--json")
    assert status == 1
    said = json.loads(out)
    assert [(one["rule"], one["service"]) for one in said["findings"]] == [("headers-dropped", "backend.default")]
    assert said["source"] == "standard input"


def test_login_by_the_environment_and_no_secret_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = recorded("otlp-all", at_us=now_us() - 10**7)[0]
    with jaeger_server(whole, login=f"Bearer {SECRET}") as server:
        monkeypatch.setenv("MESHTRAIL_JAEGER_TOKEN", SECRET)
        status, out, err = doctor(capsys, "--jaeger", server.url, "--json")
        assert status == 0, (out, err)
        assert SECRET not in out + err
        monkeypatch.setenv("MESHTRAIL_JAEGER_TOKEN", SECRET + "x")
        err = refused(capsys, "--jaeger", server.url)
        assert SECRET not in err
        assert "not accepted" in err
        monkeypatch.delenv("MESHTRAIL_JAEGER_TOKEN")
        monkeypatch.setenv("MESHTRAIL_JAEGER_HEADER", f"X-Scope-OrgID: team a\nAuthorization: Bearer {SECRET}")
        assert doctor(capsys, "--jaeger", server.url)[0] == 0
        url = server.url.replace("http://", f"http://ada:{SECRET}@")
        monkeypatch.delenv("MESHTRAIL_JAEGER_HEADER")
        err = refused(capsys, "--jaeger", url)
        assert SECRET not in err
        assert "ada" not in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--user", "ada:x"), "only with --jaeger"),
        (("--insecure",), "only with --jaeger"),
        (("--jaeger", "http://127.0.0.1:1", "--file", "f.json"), "exclude"),
        (("--jaeger", "http://127.0.0.1:1", "--insecure"), "plain http"),
        (("--jaeger", "http://127.0.0.1:1", "--header", "nothing"), "Name: value"),
        (("--jaeger", "https://127.0.0.1:1", "--ca-file", "none.pem"), "none.pem"),
    ],
)
def test_options_that_cannot_be(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], text: str) -> None:
    status, out, err = doctor(capsys, *arguments)
    assert (status, out) == (2, "")
    assert text in err


def test_a_jaeger_that_traces_itself_is_not_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    whole = recorded("otlp-all", at_us=now_us() - 10**7)[0]
    own = Trace.of([replace(whole.spans[0], trace_id="b" * 32, service="jaeger", tags={})])
    with jaeger_server(whole, own) as server:
        status, out, _ = doctor(capsys, "--jaeger", server.url, "--json")
    assert status == 0
    assert json.loads(out)["traces"] == 1
