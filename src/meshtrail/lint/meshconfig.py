"""The mesh configuration, wherever it is written: an IstioOperator, the ConfigMap `istio`, Helm values for istiod."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from meshtrail.errors import ManifestError, Problem
from meshtrail.lint.objects import HELM_VALUES, Object, Path, dig, number, sequence, text, whole
from meshtrail.manifests.document import Map, parse

ROOT = "istio-system"
TRACING_KINDS = ("opentelemetry", "zipkin", "lightstep", "datadog", "skywalking", "stackdriver", "opencensus")
BUILT_IN = {"prometheus": "prometheus", "stackdriver": "stackdriver", "envoy": "envoyFileAccessLog"}
"""Providers that every Istio defines (pkg/config/mesh, DefaultMeshConfig)."""
DEMO = {
    "otel": "envoyOtelAls",
    "skywalking": "skywalking",
    "otel-tracing": "opentelemetry",
    "jaeger": "opentelemetry",
}
"""What the demo profile of Istio 1.29 adds, unless the list is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """An entry of extensionProviders. `settings` is what stands below its kind; empty for a predefined one."""

    name: str
    kind: str
    settings: Map | None
    object: Object
    path: Path

    @property
    def service(self) -> str:
        return text(dig(self.settings, ("service",))).rpartition("/")[2]

    @property
    def port(self) -> int | None:
        return whole(dig(self.settings, ("port",)))

    @property
    def traces(self) -> bool:
        return self.kind in TRACING_KINDS

    @property
    def grpc(self) -> bool:
        return self.kind == "opentelemetry" and dig(self.settings, ("http",)) is None

    @property
    def formats(self) -> frozenset[str]:
        """The header formats that a proxy with this provider reads and sends; empty when not known."""
        if self.kind == "opentelemetry":
            return frozenset({"W3C"})
        if self.kind == "zipkin":
            both = text(dig(self.settings, ("traceContextOption",))) == "USE_B3_WITH_W3C_PROPAGATION"
            return frozenset({"B3", "W3C"}) if both else frozenset({"B3"})
        return frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """One mesh configuration. `path` leads from the object to it; for a ConfigMap `raw` is its parsed text."""

    object: Object
    raw: Map
    path: Path
    demo: bool
    sampling: float | None
    """Percent where no Telemetry says how many; None when nothing says it: Istio's own 1."""
    sampling_path: Path
    providers: tuple[Provider, ...]

    def setting(self, *path: str | int) -> tuple[Any, Path]:
        """A value, and its path for a report."""
        return dig(self.raw, path), (*self.path, *path)

    @property
    def defaults(self) -> list[str]:
        return [text(one) for one in sequence(dig(self.raw, ("defaultProviders", "tracing")))]

    @property
    def root(self) -> str:
        return text(dig(self.raw, ("rootNamespace",))) or ROOT


def meshes(objects: Iterable[Object]) -> tuple[Mesh, ...]:
    """Every mesh configuration among the objects; one that cannot be read is left out, see `unreadable`."""
    found = []
    for one in objects:
        if one.kind == "IstioOperator":
            found.append(
                _mesh(one, one.get("spec", "meshConfig"), ("spec", "meshConfig"), one.get("spec"), ("spec",), "values")
            )
        elif one.kind == HELM_VALUES:
            found.append(_mesh(one, one.get("meshConfig"), ("meshConfig",), one.raw, (), ""))
        elif one.kind == "ConfigMap" and (one.name == "istio" or one.name.startswith("istio-")) and mesh_text(one):
            try:
                parsed = mesh_of_map(one)
            except ManifestError:
                continue
            found.append(_mesh(parsed, parsed.get("data", "mesh"), ("data", "mesh"), None, (), ""))
    return tuple(found)


def unreadable(objects: Iterable[Object]) -> list[Problem]:
    """What is wrong with the text of ConfigMaps that hold a mesh configuration."""
    problems: list[Problem] = []
    for one in objects:
        if one.kind == "ConfigMap" and (one.name == "istio" or one.name.startswith("istio-")) and mesh_text(one):
            try:
                mesh_of_map(one)
            except ManifestError as error:
                problems.extend(error.problems)
    return problems


def mesh_text(one: Object) -> str:
    return text(one.get("data", "mesh"))


def mesh_of_map(one: Object) -> Object:
    """The ConfigMap with its text parsed, the places being those in the file. Raises ManifestError."""
    mark = one.mark(("data", "mesh"))
    documents = parse("\n" * mark.line + mesh_text(one), mark.file)
    if len(documents) != 1 or not isinstance(documents[0], Map):
        raise ManifestError(
            [Problem("the mesh configuration is one mapping", mark.file, mark.line, one.title, "data.mesh")]
        )
    data, whole = Map(mark), Map(one.raw.mark)
    data.put("mesh", documents[0], mark)
    whole.put("data", data, mark)
    return Object(whole, one.kind, one.group, one.name, one.namespace, one.kustomization)


def _mesh(one: Object, config: object, path: Path, spec: object, spec_path: Path, values: str) -> Mesh:
    raw = config if isinstance(config, Map) else Map(one.raw.mark)
    demo = text(dig(spec, ("profile",))) == "demo"
    sampling_path = (*path, "defaultConfig", "tracing", "sampling")
    sampling = number(dig(raw, ("defaultConfig", "tracing", "sampling")))
    pilot: Path = ((values,) if values else ()) + ("pilot", "traceSampling")
    if sampling is None and number(dig(spec, pilot)) is not None:
        sampling, sampling_path = number(dig(spec, pilot)), (*spec_path, *pilot)
    if sampling is None and demo:
        sampling = 100.0
    return Mesh(one, raw, path, demo, sampling, sampling_path, tuple(_providers(one, raw, path, demo)))


def _providers(one: Object, raw: Map, path: Path, demo: bool) -> Iterable[Provider]:
    given = dig(raw, ("extensionProviders",))
    for index, entry in enumerate(sequence(given)):
        if isinstance(entry, Map):
            kind = next((key for key in entry if key != "name"), "")
            settings = entry.get(kind)
            yield Provider(
                text(entry.get("name")),
                kind,
                settings if isinstance(settings, Map) else None,
                one,
                (*path, "extensionProviders", index),
            )
    named = {text(dig(entry, ("name",))) for entry in sequence(given)}
    predefined = BUILT_IN | (DEMO if demo and given is None else {})
    for name, kind in predefined.items():
        if name not in named:
            yield Provider(name, kind, None, one, (*path, "extensionProviders"))
