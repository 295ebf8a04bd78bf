"""Every kustomization of the repository and every combination on offer, as the real kustomize builds them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml
from tests.support.documents import documents
from tests.support.programs import kustomize, kustomize_once

ROOT = Path(__file__).parents[2]
Object = dict[str, Any]

# A component of resources alone is a build of its own.
ALONE = ("k8s/components/network-policy",)
# Components over overlays, beside those that are folders of their own: skaffold's profiles and the documentation.
COMBINATIONS = [
    ("k8s/overlays/dev", "otel/backend"),
    ("k8s/overlays/dev", "otel/frontend", "otel/database"),
    ("k8s/overlays/dev-postgres", "otel"),
    ("k8s/overlays/dev", "network-policy", "autoscaling"),
    ("k8s/overlays/dev", "polyglot", "otel"),
    ("k8s/overlays/dev", "otel", "polyglot"),
    ("k8s/overlays/dev-otel", "collector"),
    ("k8s/overlays/staging", "propagation-control"),
    ("k8s/overlays/staging-otel", "collector"),
    ("k8s/overlays/production-otel", "collector"),
]


@dataclass(frozen=True)
class Build:
    """`name` is a folder of the repository, with ` + component` for each component laid over it."""

    name: str
    text: str

    @cached_property
    def objects(self) -> list[Object]:
        return documents(self.text)


def kustomizations() -> list[Path]:
    """Folders with a kustomization, relative to the repository: found by looking, so none is forgotten."""
    found = []
    for top in ("k8s", "istio"):
        for path in (ROOT / top).rglob("kustomization.yaml"):
            if documents(path)[0]["kind"] == "Kustomization":
                found.append(path.parent.relative_to(ROOT))
    return sorted(found)


@cache
def builds() -> tuple[Build, ...]:
    """All of them; skips the test without kustomize, fails it when CI=true."""
    return (
        *(Build(str(path), kustomize_once(ROOT / path)) for path in kustomizations()),
        *(Build(one, _combined("", one)) for one in ALONE),
        *(Build(" + ".join(names), _combined(*names)) for names in COMBINATIONS),
    )


def _combined(overlay: str, *components: str) -> str:
    """`overlay` may be empty."""
    with tempfile.TemporaryDirectory() as name:
        # kustomize takes relative paths alone.
        folder = Path(name).resolve()
        text = {
            "resources": [os.path.relpath(ROOT / one, folder) for one in [overlay] if one],
            "components": [
                os.path.relpath(ROOT / "k8s/components" / one.removeprefix("k8s/components/"), folder)
                for one in components
            ],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
        return kustomize(folder)


def workloads(build: Build) -> Iterator[tuple[Object, Object]]:
    """Each object that makes pods, and its pod template's spec."""
    for one in build.objects:
        if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            yield one, one["spec"]["template"]["spec"]
        elif one["kind"] == "CronJob":
            yield one, one["spec"]["jobTemplate"]["spec"]["template"]["spec"]
