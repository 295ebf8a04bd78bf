"""k8s/ and istio/ keep to the published schemas of every supported Kubernetes, of Istio and of the Gateway API."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.k8s.built import ROOT, builds
from tests.support.absent import absent
from tests.support.programs import binary

pytestmark = pytest.mark.xdist_group("k8s")

SCHEMAS = ROOT / ".cache/schemas"
KUBERNETES = ("1.32", "1.33", "1.34", "1.35")
FILE = "{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file for each build, and the manifests that are applied one by one."""
    folder = tmp_path_factory.mktemp("manifests")
    for number, build in enumerate(builds()):
        (folder / f"{number:02}-{build.name.replace('/', '_')}.yaml").write_text(build.text)
    for path in (ROOT / "istio/variants").glob("*.yaml"):
        (folder / f"variant-{path.name}").write_text(path.read_text())
    return folder


def conform(version: str, path: Path) -> dict[str, Any]:
    """kubeconform's report: the invalid resources, and a summary."""
    sources = [SCHEMAS / name for name in (f"kubernetes-{version}", "istio", "gateway-api")]
    if not all(one.is_dir() for one in sources):
        absent("no schemas: .venv/bin/python scripts/schemas fetches them")
    command = [binary("kubeconform"), "-strict", "-summary", "-output", "json", "-n", "2"]
    for one in sources:
        command += ["-schema-location", f"{one}/{FILE}"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=100, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("version", KUBERNETES)
def test_all_manifests_are_valid(version: str, manifests: Path) -> None:
    report = conform(version, manifests)
    assert not report.get("resources")
    assert (report["summary"]["invalid"], report["summary"]["errors"], report["summary"]["skipped"]) == (0, 0, 0)
    assert report["summary"]["valid"] == sum(len(build.objects) for build in builds()) + len(
        list((ROOT / "istio/variants").glob("*.yaml"))
    )


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        ("k8s/base/three-tier/backend.yaml", ("containers:", "contaners:")),
        ("k8s/base/three-tier/backend.yaml", ("replicas: 1", "replicas: one")),
        ("k8s/components/network-policy/backend.yaml", ("port: 8080", "prot: 8080")),
        ("istio/three-tier/backend.yaml", ("- route:", "- rout:")),
        ("istio/mesh/telemetry.yaml", ("randomSamplingPercentage", "randomSampling")),
    ],
)
def test_a_mistake_is_found(manifest: str, field: tuple[str, str], tmp_path: Path) -> None:
    text = (ROOT / manifest).read_text()
    assert field[0] in text
    (tmp_path / "wrong.yaml").write_text(text.replace(*field))
    (tmp_path / "right.yaml").write_text(text)
    report = conform("1.34", tmp_path)
    assert {Path(one["filename"]).name for one in report["resources"]} == {"wrong.yaml"}
