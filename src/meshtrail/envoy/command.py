"""How an Envoy is started."""

from __future__ import annotations

from pathlib import Path

DRAIN_SECONDS = 12
"""How long connections of a replaced listener live on; see docs/local-mesh-config.md."""


def command(proxy: str, run_dir: Path, envoy_path: str | Path) -> list[str]:
    """The argument list that runs the Envoy of `proxy` from the files under `run_dir/<proxy>`."""
    return [
        str(envoy_path),
        "--config-path",
        str(run_dir / proxy / "bootstrap.json"),
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--drain-strategy",
        "immediate",
        "--drain-time-s",
        str(DRAIN_SECONDS),
        "--log-level",
        "warn",
        "--log-format",
        "%Y-%m-%dT%T.%eZ %l %n %v",
    ]
