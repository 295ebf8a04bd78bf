"""istio/install through Helm's charts and through istioctl: the same mesh configuration, the same gateway."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.support import Object, run
from tests.support.absent import absent
from tests.support.documents import documents
from tests.support.mesh import ROOT

pytestmark = pytest.mark.cluster

# Istio 1.29.2 as a Go module, which has the charts as they are published.
ISTIO = "istio.io/istio v0.0.0-20260409200358-0c774325b938"
HUB = ("--set", "global.hub=docker.io/istio", "--set", "global.tag=1.29.2")


@cache
def charts() -> Path:
    """The folder of Istio's charts."""
    if not shutil.which("go"):
        absent("no go on the PATH, to get Istio's charts with")
    with tempfile.TemporaryDirectory() as folder:
        # `go mod download` asks for more than the proxy has of this version; a module that requires it does not.
        (Path(folder) / "go.mod").write_text(f"module charts\ngo 1.25\nrequire {ISTIO}\n")
        command = ["go", "list", "-mod=mod", "-f", "{{.Module.Dir}}", "istio.io/istio/manifests"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=folder)
    if done.returncode:
        absent(f"go gives no charts of Istio: {done.stderr}")
    return Path(done.stdout.strip()) / "manifests/charts"


@cache
def helm(release: str, chart: str, values: str, *options: str) -> tuple[Object, ...]:
    """What Helm would install."""
    binary = os.environ.get("HELM") or shutil.which("helm") or absent("no helm: set HELM or put it on the PATH")
    file = ROOT / f"istio/install/helm/{values}.yaml"
    return rendered(binary, "template", release, charts() / chart, "-n", "istio-system", "-f", file, *options)


@cache
def istioctl(environment: str) -> tuple[Object, ...]:
    """What istioctl would install."""
    binary = shutil.which("istioctl") or absent("no istioctl on the PATH")
    return rendered(binary, "manifest", "generate", "-f", ROOT / f"istio/install/{environment}.yaml")


def rendered(*command: str | Path) -> tuple[Object, ...]:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(documents(done.stdout))


def one(objects: tuple[Object, ...], kind: str, name: str) -> Any:
    (found,) = (it for it in objects if (it["kind"], it["metadata"]["name"]) == (kind, name))
    return found


@pytest.mark.parametrize("environment", ["demo", "production"])
def test_the_mesh_gets_the_same_configuration_from_both(environment: str) -> None:
    by_helm = helm("istiod", "istio-control/istio-discovery", f"istiod-{environment}", *HUB)
    mesh = [yaml.safe_load(one(it, "ConfigMap", "istio")["data"]["mesh"]) for it in (by_helm, istioctl(environment))]
    assert mesh[0] == mesh[1]
    assert "%TRACE_ID%" in mesh[0]["accessLogFormat"]


@pytest.mark.parametrize("environment", ["demo", "production"])
def test_the_gateway_has_the_same_names_from_both(environment: str) -> None:
    gateways = (helm("any-name", "gateway", f"gateway-{environment}"), istioctl(environment))
    account = "istio-ingressgateway-service-account"
    for objects in gateways:
        pods = one(objects, "Deployment", "istio-ingressgateway")["spec"]["template"]
        assert pods["spec"]["serviceAccountName"] == one(objects, "ServiceAccount", account)["metadata"]["name"]
        service = one(objects, "Service", "istio-ingressgateway")["spec"]
        assert service["selector"].items() <= pods["metadata"]["labels"].items()
        assert service["selector"] == {"app": "istio-ingressgateway", "istio": "ingressgateway"}
        assert 80 in [port["port"] for port in service["ports"]]
    replicas = [
        [it["spec"]["minReplicas"] for it in objects if it["kind"] == "HorizontalPodAutoscaler"
         and it["metadata"]["name"] == "istio-ingressgateway"]
        for objects in gateways
    ]  # fmt: skip
    assert replicas[0] == replicas[1] == ([2] if environment == "production" else [])


@pytest.mark.parametrize("environment", ["demo", "production"])
def test_the_api_server_takes_what_istioctl_installs(environment: str) -> None:
    # Custom resource definitions carry the version's own schema checks, the rest is what runs.
    objects = [it for it in istioctl(environment) if it["kind"] in ("Deployment", "Service", "ConfigMap",
               "HorizontalPodAutoscaler", "PodDisruptionBudget")]  # fmt: skip
    done = run("apply", "--dry-run=server", "--force-conflicts", "--server-side", "-f", "-",
               input=yaml.safe_dump_all(objects))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(objects) > 5
