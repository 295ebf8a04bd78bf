"""Nothing is found in the manifests of this repository, but for what they say is meant."""

from __future__ import annotations

import time

import pytest
from tests.lint.support import ROOT

from meshtrail.lint.run import lint
from meshtrail.lint.sources import kustomization_kind


def kustomizations() -> list[str]:
    """Folders with a kustomization, found by looking; components are laid over others and do not stand alone."""
    return [
        str(path.parent.relative_to(ROOT))
        for top in ("k8s", "istio")
        for path in sorted((ROOT / top).rglob("kustomization.yaml"))
        if kustomization_kind(path) == "Kustomization"
    ]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.matrix
def test_nothing_is_found_in_any_kustomization_alone() -> None:
    folders = kustomizations()
    assert len(folders) > 60
    seen = {}
    for folder in folders:
        report = lint([folder])
        assert report.problems == (), folder
        # Alone nobody can tell about providers, and a suppression may have nothing to keep quiet.
        bad = [
            one for one in report.findings if one.level != "note" or one.rule not in ("unknown-provider", "suppression")
        ]
        seen.update({(one.file, one.line, one.rule): one for one in bad})
    assert list(seen.values()) == []


def test_nothing_at_all_is_found_in_everything_together_and_it_is_quick() -> None:
    began = time.process_time()
    report = lint(["k8s", "istio"])
    took = time.process_time() - began
    assert report.problems == ()
    assert report.findings == ()
    assert report.suppressed == 1  # istio/variants/sampling-0.yaml
    assert report.objects > 500
    assert took < 6, f"{took:.1f} s"


@pytest.mark.parametrize("install", ["demo", "production"])
@pytest.mark.parametrize("overlay", ["staging-otel", "production-otel", "dev-otel"])
def test_an_overlay_with_its_mesh_and_jaeger_has_nothing_to_note(overlay: str, install: str) -> None:
    # What a cluster has, all together: then nothing is left unknown.
    extra = [] if overlay != "dev-otel" else ["istio/mesh"]
    report = lint([f"k8s/overlays/{overlay}", f"istio/install/{install}.yaml", "k8s/jaeger/all-in-one", *extra])
    assert [one for one in report.findings if one.rule != "provider-service"] == []
    # A provider for those who lay the collector over it: nobody names it here.
    assert {one.level for one in report.findings} <= {"note"}
    assert all("otel-collector" in one.text for one in report.findings)
