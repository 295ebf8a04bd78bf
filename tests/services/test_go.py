"""The Go services as programs: clean sources, their own tests, what is linked, the health check of their images."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from tests.services.harness import IMPLEMENTATIONS, SERVICES, Implementation, Process
from tests.support.absent import absent

GO = [one for one in IMPLEMENTATIONS if one.language == "go"]
each = pytest.mark.parametrize("implementation", GO, ids=str)


def go(*arguments: str) -> str:
    """Run a command of the toolchain in services/ as the services are built there; return what it printed."""
    if not shutil.which(arguments[0]):
        absent(f"{arguments[0]} is not on the PATH")
    done = subprocess.run(
        arguments, cwd=SERVICES, env=os.environ | {"CGO_ENABLED": "0"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)  # the first time, vet looks at what is imported too; then seconds
def test_sources_are_clean_and_their_tests_pass() -> None:
    folders = ["common", *(f"{one.service}/go" for one in GO)]
    assert go("gofmt", "-l", *folders) == "", "run gofmt -w"
    assert "ok" in go("go", "test", "-trimpath", "-vet=all", *(f"./{folder}/..." for folder in folders))


@each
def test_plain_program_links_no_opentelemetry(implementation: Implementation) -> None:
    linked = {form: go("go", "version", "-m", *implementation.command(form)) for form in ("plain", "otel")}
    assert "go.opentelemetry.io/otel/sdk" in linked["otel"]
    assert "opentelemetry" not in linked["plain"]
    assert "CGO_ENABLED=0" in linked["plain"]


def test_program_checks_the_health_of_the_service_beside_it(tmp_path: os.PathLike[str]) -> None:
    (database,) = [one for one in GO if one.service == "database"]

    def healthcheck(port: int) -> int:
        command = [*database.command("plain"), "healthcheck"]
        environment = {"PORT": str(port), "HTTP_PROXY": "http://127.0.0.1:9"}
        return subprocess.run(command, env=environment, capture_output=True, timeout=20, check=False).returncode

    with Process(database, "plain", DATABASE_URL=f"sqlite:///{tmp_path}/later/rows.db") as process:
        assert healthcheck(process.port) == 1, "its store is not there"
        os.mkdir(f"{tmp_path}/later")
        assert healthcheck(process.port) == 0
    assert healthcheck(process.port) == 1
