"""What skaffold makes of skaffold.yaml and its profiles: files that are there, images that the manifests name, whatever
the order of the profiles. Needs skaffold on the PATH, and no cluster.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.absent import absent
from tests.support.mesh import ROOT

from meshtrail.manifests import load
from meshtrail.manifests.kinds import Deployment

# Of each application all its profiles, the combinations that replace the same thing in both orders.
CHOICES = (
    "",
    "otel",
    "otel,postgres",
    "postgres,otel",
    "b3,gateway-api",
    "production,otel",
    "otel,staging",
    "polyglot",
    "otel,polyglot,postgres",
    "postgres,gateway-api,otel,polyglot",
    "bookinfo",
    "bookinfo,otel",
    "bookinfo,postgres",
    "bookinfo,postgres,otel",
    "otel,postgres,bookinfo",
    "gateway-api,b3,bookinfo",
    "helloworld,b3,otel",
    "helloworld-go,otel",
    "helloworld-go,gateway-api",
)

PLAIN, OTEL, POSTGRES, BOTH = (False, False), (True, False), (False, True), (True, True)
# Of a complete trace, by application and whether it is hybrid and on PostgreSQL, as tests/cluster/test_skaffold.py
# sees them.
SPANS = {
    "three-tier": {PLAIN: 7, OTEL: 15, POSTGRES: 7, BOTH: 15},
    "polyglot": {PLAIN: 7, OTEL: 15, POSTGRES: 7, BOTH: 15},
    "bookinfo": {PLAIN: 9, OTEL: 18, POSTGRES: 9, BOTH: 19},
    "helloworld": {PLAIN: 3, OTEL: 4},
    "helloworld-go": {PLAIN: 3, OTEL: 4},
}


def skaffold(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("skaffold") is None:
        absent("no skaffold on the PATH")
    environment = {**os.environ, "SKAFFOLD_UPDATE_CHECK": "false", "SKAFFOLD_INTERACTIVE": "false"}
    return subprocess.run(
        ["skaffold", "diagnose", "--yaml-only", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )


def resolved(profiles: str) -> dict[str, Any]:
    """The configuration of the application that these profiles choose, with them applied."""
    done = skaffold(*(["-p", profiles] if profiles else []))
    assert done.returncode == 0, done.stdout + done.stderr
    application, root = yaml.safe_load_all(done.stdout)
    assert root["metadata"] == {"name": "meshtrail"}
    return dict(application)


@pytest.fixture(scope="module")
def seen() -> dict[frozenset[str], dict[str, Any]]:
    return {}


@pytest.mark.parametrize("profiles", CHOICES, ids=lambda one: one or "none")
def test_profiles_choose_what_is_there(profiles: str, seen: dict[frozenset[str], dict[str, Any]]) -> None:
    found = resolved(profiles)
    chosen = set(profiles.split(","))
    application = next(iter(chosen & {"polyglot", "bookinfo", "helloworld", "helloworld-go"}), "three-tier")
    assert found["metadata"]["name"] == application

    paths = [Path(path) for path in found["manifests"]["kustomize"]["paths"]]
    assert [path for path in paths if not (path / "kustomization.yaml").is_file()] == []
    artifacts = {one["image"]: one for one in found["build"]["artifacts"]}
    named = {
        container.image.rpartition(":")[0]
        for deployment in load(paths[:1], lenient=True).of(Deployment)
        for container in deployment.containers
    }
    assert set(artifacts) == {image for image in named if image.startswith("meshtrail/")}
    assert ("-postgres" in str(paths[0])) == ("postgres" in chosen)
    assert ("istio/gateway-api/" in str(paths[2])) == ("gateway-api" in chosen)
    assert found["portForward"][0]["namespace"] == ("meshtrail" if "gateway-api" in chosen else "istio-system")

    for image, artifact in artifacts.items():
        services = Path(artifact["context"])
        dockerfile = services / artifact["docker"]["dockerfile"]
        target = "otel" if "otel" in chosen else "plain"
        assert image.endswith("-otel") == (target == "otel")
        assert artifact["docker"]["target"] == target
        assert re.search(rf"^FROM \S+ AS {target}$", dockerfile.read_text(), re.MULTILINE)
        for rule in artifact.get("sync", {}).get("manual", []):
            assert list(services.glob(rule["src"])), rule

    (verification,) = found["verify"]
    (spans,) = (one["value"] for one in verification["container"]["env"] if one["name"] == "SPANS")
    assert int(spans) == SPANS[application]["otel" in chosen, "postgres" in chosen]
    assert (ROOT / verification["executionMode"]["kubernetesCluster"]["jobManifestPath"]).is_file()

    del found["metadata"]["annotations" if "annotations" in found["metadata"] else "name"]
    assert seen.setdefault(frozenset(chosen), found) == found


@pytest.mark.parametrize(
    ("profiles", "said"),
    [("bookinfo,helloworld", "/requires/0/path"), ("bookinfo,staging", "staging"), ("b3,production", "/paths/1")],
)
def test_what_does_not_go_together_is_named(profiles: str, said: str) -> None:
    done = skaffold("-p", profiles)
    assert done.returncode != 0
    assert said in done.stderr
