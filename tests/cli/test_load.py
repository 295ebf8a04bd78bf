from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE

import pytest
from tests.load.server import serve

from meshtrail.cli import main

COMMAND = (sys.executable, "-m", "meshtrail", "load")


async def run(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_load_without_errors_is_status_0() -> None:
    async with serve() as server:
        status, out, err = await run(
            "--url", server.url, "--rate", "200", "--count", "40", "--header", "End-User: jason"
        )
    assert (status, err) == (0, "")
    assert "40 requests" in out
    assert "p50" in out
    assert "status: 200 x 40" in out
    assert "errors: none" in out
    assert all("End-User: jason" in head for head in server.requests)


async def test_errors_are_status_1_and_counted() -> None:
    async with serve() as server:
        status, out, _ = await run("--url", server.url, "--path", "/503", "--rate", "max", "--count", "5")
    assert status == 1
    assert "errors: HTTP 503 x 5" in out


async def test_json() -> None:
    async with serve() as server:
        status, out, _ = await run("--url", server.url, "--rate", "max", "--count", "30", "--json")
    assert status == 0
    report = json.loads(out)
    assert (report["sent"], report["statuses"], report["errors"]) == (30, {"200": 30}, {})
    assert set(report["latency_ms"]) == {"p50", "p90", "p99", "max"}


async def test_ctrl_c_gives_the_summary_so_far() -> None:
    async with serve() as server:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "--url", server.url, "--rate", "100", "--duration", "60", stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(30):
            await server.arrived.wait()
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    assert process.returncode == 130
    assert "interrupted" in out.decode()
    assert "latency ms" in out.decode() or "0 requests" in out.decode()
    assert err == b""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--duration", "inf"], "bounded"),
        (["--rate", "-1"], "bounded"),
        (["--rate", "fast"], "neither a number nor 'max'"),
        (["--count", "0"], "bounded"),
        (["--header", "no colon"], "not a header"),
        (["--header", "a: b\r\nc: d"], "not a header"),
        (["--header", "Content-Length: 5"], "set by the connection"),
        (["--url", "http://192.0.2.1/"], "--allow-remote"),
    ],
)
def test_wrong_arguments_are_status_2(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["load", "--url", "http://127.0.0.1:9", *arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert text in error
    assert "Traceback" not in error


def test_a_target_that_is_down_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SystemExit) as caught:
            main(["load", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}", "--count", "2", "--rate", "100"])
    assert caught.value.code == 1
    assert "connection refused x 2" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_meshtrail(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["completion", shell])
    assert caught.value.code == 0
    assert f"_MESHTRAIL_COMPLETE={shell}_complete" in capsys.readouterr().out


async def test_completion_knows_the_commands() -> None:
    environment = {
        **os.environ,
        "_MESHTRAIL_COMPLETE": "bash_complete",
        "COMP_WORDS": "meshtrail tra",
        "COMP_CWORD": "1",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "meshtrail", stdout=PIPE, env=environment)
    out, _ = await process.communicate()
    assert out.decode().split() == ["plain,trace"]
