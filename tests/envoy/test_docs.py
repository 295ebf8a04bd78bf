"""docs/local-mesh-config.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from meshtrail.envoy.bootstrap import FLUSH_MILLISECONDS, FLUSH_SPANS, MAX_CONNECTIONS
from meshtrail.envoy.command import DRAIN_SECONDS
from meshtrail.mesh.collectors import COLLECTORS

PAGE = (Path(__file__).parents[2] / "docs" / "local-mesh-config.md").read_text()


def test_figures() -> None:
    assert f"after {FLUSH_MILLISECONDS} ms, or when {FLUSH_SPANS} wait" in PAGE
    assert f"run for {DRAIN_SECONDS} s" in PAGE
    assert f"At most {MAX_CONNECTIONS} connections" in PAGE


def test_the_table_of_collectors() -> None:
    written = {line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `") and ".istio-system" in line}
    played = {f"{name}:{port.number}" for name, service in COLLECTORS.items() for port in service.ports if port.store}
    assert written == played
