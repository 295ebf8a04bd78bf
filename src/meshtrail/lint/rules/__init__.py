"""The rules, one function each; a module holds those of one subject. Their order here is that of docs/lint.md."""

from __future__ import annotations

import importlib

MODULES = (
    "ports",
    "injection",
    "names",
    "providers",
    "telemetry",
    "sampling",
    "scope",
    "routing",
    "gateways",
    "health",
    "exporters",
    "sdk",
)


def load() -> None:
    """Import every module, which registers its rules."""
    for name in MODULES:
        importlib.import_module(f"meshtrail.lint.rules.{name}")
