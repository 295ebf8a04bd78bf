"""From the manifests to the files below `compose/` that docker-compose.yml and its siblings mount."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from meshtrail.compose import places
from meshtrail.envoy import ProxyConfig, generate
from meshtrail.envoy.addresses import Pod, environment
from meshtrail.envoy.proxy import as_json
from meshtrail.errors import MeshtrailError, Warnings
from meshtrail.local.applications import APPLICATIONS, Application
from meshtrail.local.sources import shown
from meshtrail.manifests import Manifests, load
from meshtrail.mesh import Mesh, build

FOLDER = "compose"
"""Where the files lie in the repository."""
IN_CONTAINER = PurePosixPath("/etc/envoy")
"""Where the compose files mount the folder of each proxy, under the proxy's name."""

MESHES: Mapping[str, tuple[str, ...]] = {"otlp": (), "b3": ("istio/variants/b3.yaml",)}
"""What `MESH` in the compose files may be: a tracing provider, and what is laid over the manifests for it."""

B3_FIRST = "tracecontext,baggage,b3multi"
"""OTEL_PROPAGATORS behind a tracer that speaks B3 alone: the last listed wins over a traceparent that the sidecar let
pass unchanged; see docs/services.md."""

HEADER = "# Written by `meshtrail render compose` from k8s/ and istio/: change those.\n"
PLAIN_VALUE = re.compile(r"[\w:/.,@%+=~-]*")


def render(root: Path, *, warnings: Warnings | None = None) -> dict[str, str]:
    """Every generated file of every application by its path below `compose/`, in a stable order.

    `<application>/envoy/<mesh>/<proxy>/*.json` is what Envoy reads, `<application>/env/<mesh>/<pod>.env` what a
    service's process gets. Raises ManifestError for manifests that cannot be carried out, MeshtrailError for what the
    compose files cannot.
    """
    result: dict[str, str] = {}
    for app in APPLICATIONS.values():
        base = read(app, root, warnings)
        for name, over in MESHES.items():
            laid = base.overlay(load([shown(root / path) for path in over], warnings=warnings)) if over else base
            mesh = build(laid, warnings=warnings)
            check(mesh)
            addresses = places.addresses(mesh)
            envoy, env = f"{app.name}/envoy/{name}", f"{app.name}/env/{name}"
            for proxy in generate(mesh, addresses, run_dir=Path(IN_CONTAINER), admin=places.ADMIN).values():
                result |= {f"{envoy}/{proxy.name}/{file}": text for file, text in proxy_files(trimmed(proxy)).items()}
            for pod in addresses.pods:
                values = environment(mesh, pod, addresses) | propagators(mesh, pod)
                hidden = secret(mesh, pod)
                kept = {variable: value for variable, value in values.items() if variable not in hidden}
                result[f"{env}/{pod.name}.env"] = env_file(kept)
    return result


def read(app: Application, root: Path, warnings: Warnings | None) -> Manifests:
    """The manifests of an application. The otel form's environment is there in both forms: plain ignores it."""
    return load(
        [shown(root / path) for path in app.manifests],
        components=[shown(root / path) for path in app.otel.values()],
        warnings=warnings,
    )


def check(mesh: Mesh) -> None:
    """Raises MeshtrailError for what the compose files do not run: they have one container for each Deployment."""
    for workload in mesh.workloads.values():
        if workload.replicas != 1:
            raise MeshtrailError(
                f"Deployment {workload.namespace}/{workload.name} has {workload.replicas} replicas, "
                "docker compose runs one",
                mend="set replicas to 1 in the dev overlay, or use a cluster",
            )


def trimmed(proxy: ProxyConfig) -> ProxyConfig:
    """`proxy` with the clusters that its listeners and routes name: what a reader of the files has to know.

    istiod sends every sidecar all of the mesh, unless a Sidecar resource narrows it in the same way.
    """
    used = json.dumps([proxy.listeners, proxy.routes])
    return replace(proxy, clusters=[one for one in proxy.clusters if json.dumps(one["name"]) in used])


def proxy_files(proxy: ProxyConfig) -> dict[str, str]:
    return {"bootstrap.json": as_json(proxy.bootstrap, readable=True), **proxy.files(readable=True)}


def propagators(mesh: Mesh, pod: Pod) -> dict[str, str]:
    """What the SDK of the otel form has to be told when the sidecar's tracer speaks B3 alone."""
    resolved = mesh.tracing_for(mesh.workloads[pod.workload_key], "inbound")
    b3_alone = resolved and resolved.provider.type == "zipkin" and resolved.provider.trace_context == "USE_B3"
    return {"OTEL_PROPAGATORS": B3_FIRST} if b3_alone else {}


def secret(mesh: Mesh, pod: Pod) -> set[str]:
    """The variables that a Secret fills: no file here holds one, a service without it takes what it has for that."""
    container = mesh.workloads[pod.workload_key].deployment.containers[0]
    return {one.name for one in container.env if one.key_ref is not None and one.key_ref.kind == "Secret"}


def env_file(values: Mapping[str, str]) -> str:
    """An env file as Compose reads it; a value in single quotes is taken as it stands."""
    lines = []
    for name, value in sorted(values.items()):
        quoted = value if PLAIN_VALUE.fullmatch(value) else "'" + value.replace("'", "\\'") + "'"
        lines.append(f"{name}={quoted}\n")
    return HEADER + "".join(lines)
