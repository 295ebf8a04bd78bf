"""What makes pods: the pod template of a Deployment, StatefulSet, CronJob, Rollout or Pod."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meshtrail.lint.objects import Object, Path, dig, sequence, strings, text, whole
from meshtrail.manifests.document import Map

TEMPLATES: dict[str, Path] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Rollout": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
PROXY = "istio-proxy"
GATEWAY_TEMPLATES = "inject.istio.io/templates"
GATEWAY_LABELS = {"ingressgateway", "egressgateway", "eastwestgateway", "ingress", "egress"}


@dataclass(frozen=True, slots=True, eq=False)
class Container:
    raw: Map
    path: Path

    @property
    def name(self) -> str:
        return text(self.raw.get("name"))

    @property
    def image(self) -> str:
        return text(self.raw.get("image"))

    def environment(self) -> dict[str, tuple[str, Path]]:
        """Variables given by value: the value and the path of the field. A later one of the same name wins."""
        found = {}
        for index, one in enumerate(sequence(self.raw.get("env"))):
            name, value = text(dig(one, ("name",))), dig(one, ("value",))
            if name and value is not None:
                shown = str(value).lower() if isinstance(value, bool) else str(value)
                found[name] = (shown, (*self.path, "env", index, "value"))
        return found

    def ports(self) -> list[tuple[str, int]]:
        """Name and number of each declared port."""
        found = []
        for one in sequence(self.raw.get("ports")):
            port = whole(dig(one, ("containerPort",)))
            if port is not None:
                found.append((text(dig(one, ("name",))), port))
        return found

    def http_probes(self) -> list[tuple[Path, str, str | int]]:
        """Path of the field, URL path, and port (name or number) of each httpGet probe."""
        found: list[tuple[Path, str, str | int]] = []
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            get = dig(self.raw, (name, "httpGet"))
            if isinstance(get, Map):
                port = get.get("port")
                found.append(
                    (
                        (*self.path, name, "httpGet"),
                        text(get.get("path")) or "/",
                        port if isinstance(port, str | int) else "",
                    )
                )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    object: Object
    template: Path
    """The path of the pod template; () for a Pod."""

    @property
    def labels(self) -> dict[str, str]:
        return strings(self.object.get(*self.template, "metadata", "labels"))

    @property
    def annotations(self) -> dict[str, str]:
        return strings(self.object.get(*self.template, "metadata", "annotations"))

    def spec(self, *path: str | int) -> Any:
        return self.object.get(*self.template, "spec", *path)

    @property
    def containers(self) -> list[Container]:
        return [Container(one, path) for path, one in self.object.items(*self.template, "spec", "containers")]

    @property
    def is_gateway(self) -> bool:
        """An ingress or egress gateway of Istio: its pod is the proxy alone."""
        labels = self.labels
        return (
            "gateway" in self.annotations.get(GATEWAY_TEMPLATES, "")
            or labels.get("istio", "") in GATEWAY_LABELS
            or [one.name for one in self.containers] == [PROXY]
        )

    def target_port(self, wanted: str | int) -> int | None:
        """The number of a port that a Service or probe names; None when the pod has no port of that name."""
        if isinstance(wanted, int):
            return wanted
        if wanted.isdigit():
            return int(wanted)
        return next((port for one in self.containers for name, port in one.ports() if name == wanted), None)

    def port_name(self, port: int) -> str:
        return next((name for one in self.containers for name, own in one.ports() if own == port), "")


def workload(one: Object) -> Workload | None:
    path = TEMPLATES.get(one.kind)
    return Workload(one, path) if path is not None and (one.kind != "Pod" or one.group == "") else None
