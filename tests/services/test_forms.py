"""The plain form needs no OpenTelemetry, at the real processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.services.harness import IMPLEMENTATIONS, KINDS, SERVICES, Implementation, implementation


@pytest.mark.parametrize("implementation", [one for one in KINDS if one.language == "python"], ids=str)
def test_plain_process_never_loads_an_sdk(implementation: Implementation) -> None:
    # An address that cannot be had, so that it ends by itself; it is asked for when everything is loaded.
    program = (
        f"import sys, {implementation.service}.plain as plain\n"
        "try:\n    plain.main()\nexcept SystemExit:\n    pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))\n"
    )
    environment = implementation.environment() | {"PORT": "0", "HOST": "192.0.2.1", "PROPAGATION_CONTROL": "on"}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert "cannot listen" in done.stderr
    loaded = done.stdout.splitlines()[-1]
    assert loaded.startswith("[")
    for name in ("sdk", "exporter", "instrumentation"):
        assert f"opentelemetry.{name}" not in loaded
    if implementation.service == "backend":
        assert loaded == "[]"


@pytest.mark.parametrize("implementation", [one for one in IMPLEMENTATIONS if one.language == "go"], ids=str)
def test_plain_go_links_no_opentelemetry(implementation: Implementation) -> None:
    def modules(form: str) -> str:
        command = ["go", "version", "-m", implementation.command(form)[0]]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout

    assert "go.opentelemetry.io" in modules("otel")
    assert "opentelemetry" not in modules("plain")


def test_plain_node_runs_without_the_optional_packages(tmp_path: Path) -> None:
    """As in the plain image: of what npm installs, nothing of OpenTelemetry is there. The otel form misses it."""
    frontend = implementation("frontend", "node")
    frontend.command("plain")  # installs what is missing
    ours = shutil.ignore_patterns("node_modules", "python", "go")
    shutil.copytree(SERVICES / "common", tmp_path / "common", ignore=ours)
    shutil.copytree(SERVICES / "frontend/node", tmp_path / "frontend/node", ignore=ours)
    modules = tmp_path / "frontend/node/node_modules"
    modules.mkdir()
    for package in (SERVICES / "frontend/node/node_modules").iterdir():
        if package.name != "@opentelemetry":
            (modules / package.name).symlink_to(package)

    def run(form: str) -> subprocess.CompletedProcess[str]:
        # A port that cannot be had, so that it ends; it is opened when everything is loaded.
        command = [frontend.command(form)[0], str(tmp_path / f"frontend/node/{form}.js")]
        environment = {"PORT": "0", "HOST": "192.0.2.1"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)

    assert run("plain").stderr.startswith("frontend: cannot listen on 192.0.2.1")
    assert "ERR_MODULE_NOT_FOUND" in run("otel").stderr
