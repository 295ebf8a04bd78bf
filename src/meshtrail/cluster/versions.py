"""Versions: what the manifests need, and what they were last seen to work with."""

from __future__ import annotations

import re

KUBERNETES_OLDEST = (1, 29)
"""Injection with native sidecars (init containers that go on running) is on by default from here."""

ISTIO_OLDEST = (1, 24)
"""networking.istio.io/v1 and telemetry.istio.io/v1 are served, and native sidecars work."""


def parsed(text: str) -> tuple[int, int] | None:
    """Major and minor of `v1.34.4`, `1.29.2-distroless`, `1.29-alpha.abc`; None of what is no version."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def shown(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
