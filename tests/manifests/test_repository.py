"""The manifests of this repository: they load, they are what kustomize makes of them, and they keep their promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.documents import documents
from tests.support.programs import kustomize, kustomize_once

from meshtrail.errors import Warnings
from meshtrail.manifests import kinds, load
from meshtrail.manifests.document import plain
from meshtrail.manifests.kustomize import build

from .ordered import by_name

ROOT = Path(__file__).parents[2]
KUSTOMIZATIONS = sorted(
    path.parent.relative_to(ROOT)
    for folder in ("k8s", "istio")
    for path in (ROOT / folder).rglob("kustomization.yaml")
    if documents(path)[0]["kind"] == "Kustomization"
    # Never read on a laptop, which brings its own store: ConfigMaps there have a hash in their name, as ours refuses.
    and not any(path.is_relative_to(ROOT / one) for one in ("k8s/jaeger", "k8s/collector"))
)
COMPONENTS = sorted(
    path.parent.relative_to(ROOT)
    for path in (ROOT / "k8s").rglob("kustomization.yaml")
    if documents(path)[0]["kind"] == "Component"
)
# The others have kinds that only a cluster carries out: StatefulSet, NetworkPolicy ...
FOR_THE_LAPTOP = (
    "k8s/base/three-tier",
    "k8s/overlays/dev",
    "k8s/overlays/dev/workloads",
    "k8s/overlays/dev-otel",
    "k8s/overlays/dev-otel/workloads",
    "k8s/overlays/dev-polyglot",
    "k8s/overlays/bookinfo",
    "k8s/overlays/bookinfo-otel",
    "k8s/overlays/helloworld",
    "k8s/overlays/helloworld-go-otel",
    "k8s/ratings/v-faulty",
    "istio/mesh",
    "istio/three-tier",
    "istio/bookinfo",
    "istio/helloworld",
)
# Whose objects a component changes; that of the folders not named is three-tier.
APPLICATION_OF = {
    **dict.fromkeys(("bookinfo", "productpage", "details", "reviews", "ratings"), "bookinfo"),
    **dict.fromkeys(("helloworld", "helloworld-go"), "helloworld"),
}
PORTS = {"frontend": 3000, "backend": 8080, "database": 8080}
OTEL = ROOT / "k8s/components/otel"


@pytest.mark.xdist_group("k8s")  # beside tests/k8s, for which the same folders are built
@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=str)
def test_every_kustomization_is_what_kustomize_builds(path: Path) -> None:
    ours = by_name([plain(one) for one in build(ROOT / path, [], set(), {})])
    assert ours == by_name(documents(kustomize_once(ROOT / path)))


@pytest.mark.parametrize("path", FOR_THE_LAPTOP)
def test_what_the_local_mesh_runs_from_loads_without_a_warning(path: str) -> None:
    warnings = Warnings()
    assert len(load([ROOT / path], warnings=warnings)) > 0
    assert warnings.problems == []


@pytest.mark.parametrize("path", COMPONENTS, ids=str)
def test_every_component_works_alone_as_in_kustomize(path: Path, tmp_path: Path) -> None:
    # Kustomize takes only relative paths.
    up = "../" * len(tmp_path.resolve().parts[1:])
    application = ROOT / "k8s/base" / APPLICATION_OF.get(path.name, "three-tier")
    text = f"resources: ['{up}{application.relative_to('/')}']\ncomponents: ['{up}{(ROOT / path).relative_to('/')}']\n"
    (tmp_path / "kustomization.yaml").write_text(text)
    built = by_name([plain(one) for one in build(tmp_path, [], set(), {})])
    assert built != by_name([plain(one) for one in build(application, [], set(), {})])
    assert built == by_name(documents(kustomize(tmp_path)))


@pytest.mark.parametrize("path", sorted((ROOT / "istio/variants").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_variant_changes_the_telemetry_and_names_a_provider(path: Path) -> None:
    mesh = load([ROOT / "istio/mesh", ROOT / "istio/install/demo.yaml"])
    variant = load([path])
    # One of the whole mesh replaces the one that is there; one of a namespace or a workload comes beside it.
    assert (set(variant) <= set(mesh)) == (not path.stem.startswith("telemetry-"))
    (config,) = mesh.of(kinds.MeshConfig)
    for telemetry in mesh.overlay(variant).of(kinds.Telemetry):
        assert {name for one in telemetry.tracing for name in one.providers} <= {one.name for one in config.providers}
    assert mesh.overlay(variant).of(kinds.Telemetry) != mesh.of(kinds.Telemetry)


def test_yamllint() -> None:
    command = [sys.executable, "-m", "yamllint", "--strict", "k8s", "istio"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_services_and_deployments_fit() -> None:
    found = load([ROOT / "k8s/overlays/dev"])
    deployments = {one.meta.name: one for one in found.of(kinds.Deployment)}
    services = {one.meta.name: one for one in found.of(kinds.Service)}
    assert set(deployments) == set(services) == set(PORTS)
    for name, port in PORTS.items():
        assert services[name].ports == (kinds.ServicePort("http", port, "http"),)
        pod = deployments[name]
        assert services[name].selector.items() <= pod.labels.items()
        assert (pod.labels["app"], pod.labels["version"]) == (name, "v1")
        (container,) = pod.containers
        assert kinds.ContainerPort(port, "http") in container.ports
        assert container.readiness == kinds.HttpProbe("/readyz", "http")
        assert container.liveness == kinds.HttpProbe("/healthz", "http")
        assert container.image.startswith(f"meshtrail/{name}-python:")
        assert not container.image.endswith(":latest")
        env = {one.name: one.value for one in container.env}
        assert env["PORT"] == str(port)
        assert (env["HOST"], env["PROPAGATION"]) == ("0.0.0.0", "all")


def test_the_propagation_switch_is_on_in_dev_only() -> None:
    for path, switch in (("k8s/base/three-tier", "off"), ("k8s/overlays/dev", "on")):
        for one in load([ROOT / path]).of(kinds.Deployment):
            env = {var.name: var.value for var in one.containers[0].env}
            assert env["PROPAGATION_CONTROL"] == switch
            assert (kinds.ContainerPort(8090, "control") in one.containers[0].ports) == (switch == "on")
            excluded = one.annotations.get("traffic.sidecar.istio.io/excludeInboundPorts")
            assert excluded == ("8090" if switch == "on" else None)


def test_otel_form_of_all_and_of_one() -> None:
    paths = [ROOT / "k8s/overlays/dev", ROOT / "istio/mesh"]
    for components, changed in (([OTEL], set(PORTS)), ([OTEL / "backend"], {"backend"})):
        for one in load(paths, components=components).of(kinds.Deployment):
            env = {var.name: var.value for var in one.containers[0].env}
            otel = one.meta.name in changed
            assert ("-otel:" in one.containers[0].image) == otel
            assert env.get("OTEL_SERVICE_NAME") == (one.meta.name if otel else None)
            assert ("traffic.sidecar.istio.io/excludeOutboundPorts" in one.annotations) == otel


def test_the_namespace_injects_and_everything_is_in_it() -> None:
    found = load([ROOT / "k8s/overlays/dev"])
    (namespace,) = found.of(kinds.Namespace)
    assert namespace.meta.labels["istio-injection"] == "enabled"
    assert {key[1] for key in found} == {"", namespace.meta.name}


def test_health_checks_are_excluded_by_the_name_of_a_route() -> None:
    found = load([ROOT / "istio/three-tier", ROOT / "istio/mesh"])
    (envoy_filter,) = found.of(kinds.EnvoyFilter)
    (patch,) = envoy_filter.patches
    frontend = next(one for one in found.of(kinds.VirtualService) if one.meta.name == "frontend")
    assert frontend.http[0].name == patch.route_name
    assert frontend.http[0].matches[0].uri == kinds.StringMatch("exact", "/healthz")
    assert (patch.context, patch.operation) == ("GATEWAY", "MERGE")
    assert {name: value["numerator"] for name, value in patch.value["tracing"].items()} == {
        "client_sampling": 0,
        "random_sampling": 0,
        "overall_sampling": 0,
    }
