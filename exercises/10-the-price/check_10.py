"""Three forms were measured, and the sidecars have limits. How fast a machine is plays no part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshtrail.exercises import Room, Said, done, missing, wrong

FORMS = ("bare", "plain", "otel")
PREFIX = "sidecar.istio.io/"
WANTED = ("proxyCPU", "proxyMemory", "proxyMemoryLimit")
# Below this a proxy waits for its share of the processor in ordinary use.
LEAST_CPU = 0.1
SIDECAR = "istio-proxy"

Object = dict[str, Any]


def check(room: Room) -> Iterator[Said]:
    table = {form: _measured(room, form) for form in FORMS}
    for form, figures in table.items():
        if figures:
            yield done("measured", form=form, **figures)
    lacking = [form for form, figures in table.items() if not figures]
    if lacking:
        yield missing("not-measured", forms=lacking)
    else:
        yield _price(table)
    deployments = {name: room.object("Deployment", name) or {} for name in room.services}
    yield from _limits(room, deployments)


def _measured(room: Room, form: str) -> dict[str, str]:
    found = room.object("ConfigMap", f"price-{form}") or {}
    return {str(name): str(value) for name, value in (found.get("data") or {}).items()}


def _price(table: dict[str, dict[str, str]]) -> Said:
    """The differences, as they are: on a busy machine one may be below zero."""
    bare, plain, otel = (float(table[form]["p50_ms"]) for form in FORMS)
    return done(
        "price",
        sidecar_ms=f"{plain - bare:+.1f}",
        sdk_ms=f"{otel - plain:+.1f}",
        sidecars_mb=table["plain"]["sidecars_mb"],
        sdk_mb=f"{float(table['otel']['services_mb']) - float(table['plain']['services_mb']):+.0f}",
    )


def _limits(room: Room, deployments: dict[str, Object]) -> Iterator[Said]:
    annotations = {name: _template(one).get("annotations") or {} for name, one in deployments.items()}
    injected = {name: (_template(one).get("labels") or {}).get(f"{PREFIX}inject") for name, one in deployments.items()}
    if "false" in injected.values():
        yield missing("no-sidecar", services=[name for name, value in injected.items() if value == "false"])
        return
    without = [name for name, one in annotations.items() if any(f"{PREFIX}{key}" not in one for key in WANTED)]
    outside = [
        name
        for name, one in deployments.items()
        if name in without and any(key.startswith(f"{PREFIX}proxy") for key in one["metadata"].get("annotations") or {})
    ]
    throttled = {
        name: value
        for name, one in annotations.items()
        if (value := one.get(f"{PREFIX}proxyCPULimit")) and _cores(str(value)) < LEAST_CPU
    }
    if outside:
        yield wrong("on-the-deployment", services=outside)
    elif throttled:
        yield wrong("throttled", services=list(throttled), limit=next(iter(throttled.values())))
    elif without:
        yield missing("no-limits", services=without, wanted=WANTED)
    elif room.target == "cluster":
        yield from _in_force(room, annotations)
    else:
        yield done("limits-written", services=list(annotations))


def _in_force(room: Room, annotations: dict[str, dict[str, str]]) -> Iterator[Said]:
    """What the pods really have: the injection reads the annotations when a pod is made."""
    late = []
    for pod in room.objects("Pod"):
        meta, spec = pod["metadata"], pod["spec"]
        name = (meta.get("labels") or {}).get("app", "")
        if name not in annotations or meta.get("deletionTimestamp"):
            continue
        containers = (*spec.get("containers", ()), *spec.get("initContainers", ()))
        proxy: Object = next((one for one in containers if one["name"] == SIDECAR), {})
        limit = (proxy.get("resources", {}).get("limits") or {}).get("memory")
        if limit != annotations[name][f"{PREFIX}proxyMemoryLimit"]:
            late.append(name)
    if late:
        yield missing("pods-are-older", services=late)
    else:
        yield done("limits-hold", services=list(annotations))


def _template(deployment: Object) -> Object:
    found: Object = deployment.get("spec", {}).get("template", {}).get("metadata", {})
    return found


def _cores(text: str) -> float:
    """Of a processor: `500m` is half of one."""
    try:
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    except ValueError:
        return 0.0
