"""What npm reads of the Node services."""

from __future__ import annotations

import json
import re

import pytest
from tests.services.harness import IMPLEMENTATIONS, SERVICES, Implementation

each = pytest.mark.parametrize("implementation", [one for one in IMPLEMENTATIONS if one.language == "node"], ids=str)


@each
def test_lock_file_works_behind_any_registry(implementation: Implementation) -> None:
    """Each package by its hash, and none by an address: npm asks the registry that it is set to."""
    lock = json.loads((SERVICES / implementation.service / "node/package-lock.json").read_text(encoding="utf-8"))
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    assert packages
    for path, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), path
        assert "resolved" not in entry, path


@each
def test_opentelemetry_is_optional_and_nothing_else(implementation: Implementation) -> None:
    """`npm ci --omit=optional` is the plain form; versions are exact."""
    package = json.loads((SERVICES / implementation.service / "node/package.json").read_text(encoding="utf-8"))
    assert all(name.startswith("@opentelemetry/") for name in package["optionalDependencies"])
    assert not any("opentelemetry" in name for name in package["dependencies"])
    versions = [*package["dependencies"].values(), *package["optionalDependencies"].values()]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)
