"""The field tables: complete against what Kubernetes and Istio publish, and the same as in the documentation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshtrail.manifests.reader import MESSAGES, closest, duration_seconds
from meshtrail.manifests.reference import render

ROOT = Path(__file__).parents[2]
# Names of fields by object: the custom resource definitions of Istio 1.29.2 and the
# Gateway API 1.4.0 (experimental channel), Kubernetes 1.34's OpenAPI description.
PUBLISHED: dict[str, list[str]] = json.loads((Path(__file__).parent / "published-fields.json").read_text())
# Newer than the published list: Istio 1.30.
NEWER = {"Telemetry.spec.tracing[]": {"disableContextPropagation"}}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_every_published_field_is_in_exactly_one_class(name: str) -> None:
    message = MESSAGES[name]
    assert set(message.known) == set(PUBLISHED[name]) | NEWER.get(name, set())
    assert len(message.known) == len(set(message.known))


def test_most_objects_are_held_to_a_published_list() -> None:
    own = {name for name in MESSAGES if name not in PUBLISHED}
    assert {name.split(".")[0].split("[")[0] for name in own} <= {
        "Kustomization",
        "IstioOperator",
        "meshConfig",
        # Their top level: apiVersion, kind, metadata, spec, status.
        "Gateway",
        "ServiceEntry",
        "VirtualService",
        "DestinationRule",
        "Telemetry",
        "EnvoyFilter",
        "HTTPRoute",
        "AuthorizationPolicy",
    }


def test_the_page_is_current() -> None:
    page = (ROOT / "docs/manifests.md").read_text(encoding="utf-8")
    assert render(page) == page, "run: python -m meshtrail.manifests.reference docs/manifests.md"


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="has no place"):
        render("# Manifests\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("100us", 0.0001),
        ("0s", 0.0),
        ("1", None),
        ("1 s", None),
        ("s", None),
        ("-1s", None),
        ("1d", None),
        ("1s ", None),
        ("1s\n", None),
        ("", None),
        ("٣s", None),
        ("1" * 50 + "s", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    found = duration_seconds(text)
    assert found == (pytest.approx(seconds) if seconds is not None else None)


def test_closest_name() -> None:
    assert closest("rout", ["route", "timeout"]) == "route"
    assert closest("mirror_percentage", ["mirrorPercentage", "mirror"]) == "mirrorPercentage"
    assert closest("xyz", ["route", "timeout"]) == ""
