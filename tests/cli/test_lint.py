"""`meshtrail lint`: exit status, standard input, and what a person reads when something cannot be read."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from meshtrail.cli import main

ROOT = Path(__file__).parents[2]
EXAMPLES = "src/meshtrail/lint/examples"


def lint(*arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshtrail", "lint", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, input=input, timeout=60, check=False)


def test_findings_are_status_1_and_notes_0() -> None:
    done = lint(f"{EXAMPLES}/port-protocol/reported.yaml")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{EXAMPLES}/port-protocol/reported.yaml:17: warning port-protocol: ")
    noted = lint("-", input=(ROOT / EXAMPLES / "no-provider/reported.yaml").read_text())
    assert noted.returncode == 0
    assert noted.stdout.startswith("<stdin>:7: note no-provider: ")


def test_machines_get_nothing_but_their_format() -> None:
    path = f"{EXAMPLES}/unknown-provider/reported.yaml"
    assert json.loads(lint(path, "--json").stdout)["clean"] is False
    assert json.loads(lint(path, "--sarif").stdout)["version"] == "2.1.0"
    assert lint(path, "--github").stdout.startswith(f"::error file={path},line=")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "error: nowhere: no such file"),
        (["docs"], "no Kubernetes object in docs"),
        (["-"], "no Kubernetes object in -"),
        (["README.md"], "README.md"),
        (["k8s/components/otel"], "is a Component"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_read_is_status_2_and_a_sentence(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(SystemExit) as ended:
        main(["lint", *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
