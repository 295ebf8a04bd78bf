"""What an exercise brings along outside of the application's namespace, and `reset` has to take away."""

from __future__ import annotations

import shutil
import subprocess

import yaml
from tests.support.absent import absent
from tests.support.mesh import ROOT

from meshtrail.exercises.settings import read_settings


def test_the_collector_is_taken_away_with_its_generated_name() -> None:
    """The local mesh does not know the hash in the ConfigMap's name: it stands in exercise.yaml."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        absent("no kubectl on the PATH")
    built = subprocess.run(
        [kubectl, "kustomize", "k8s/collector"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    objects = {
        f"{one['kind']}/{one['metadata']['namespace']}/{one['metadata']['name']}"
        for one in yaml.safe_load_all(built.stdout)
    }
    assert objects == set(read_settings(ROOT / "exercises/12-production/exercise.yaml").touches)
