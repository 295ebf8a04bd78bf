"""Which tracing applies: Telemetry objects, the provider that they name, what is certain about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshtrail.lint.bundle import Bundle, Index, selects
from meshtrail.lint.meshconfig import Provider
from meshtrail.lint.objects import Object, Path, number, sequence, text
from meshtrail.manifests.document import Map


@dataclass(frozen=True, slots=True, eq=False)
class Tracing:
    """One entry of `spec.tracing` of a Telemetry."""

    object: Object
    path: Path
    raw: Map

    @property
    def providers(self) -> list[tuple[Path, str]]:
        return [
            ((*self.path, "providers", index, "name"), text(one.get("name")))
            for index, one in enumerate(sequence(self.raw.get("providers")))
            if isinstance(one, Map)
        ]

    @property
    def sampling(self) -> float | None:
        return number(self.raw.get("randomSamplingPercentage"))


def telemetries(index: Index) -> list[Object]:
    return index.of("Telemetry", "istio.io")


def tracings(objects: Iterable[Object]) -> Iterator[Tracing]:
    for one in objects:
        for path, entry in one.items("spec", "tracing"):
            yield Tracing(one, path, entry)


def selector(one: Object) -> dict[str, str]:
    found = one.get("spec", "selector", "matchLabels")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, Mapping) else {}


def targets(one: Object) -> list[tuple[str, str]]:
    """Kind and name of what `targetRefs` names."""
    found = [*sequence(one.get("spec", "targetRefs")), one.get("spec", "targetRef")]
    return [(text(ref.get("kind")), text(ref.get("name"))) for ref in found if isinstance(ref, Map)]


def whole_namespace(one: Object) -> bool:
    return not selector(one) and not targets(one)


def named_provider(bundle: Bundle, namespace: str, labels: Mapping[str, str] | None = None) -> str:
    """The name of the provider for the proxies of a namespace or workload; "" when none or more than one may hold."""
    own = telemetries(bundle.own)
    scopes = (
        [one for one in own if one.namespace == namespace and selector(one) and selects(selector(one), labels or {})],
        [one for one in own if one.namespace == namespace and whole_namespace(one)],
        [one for one in own if one.namespace == bundle.root and whole_namespace(one)],
        [one for one in telemetries(bundle.all) if one.namespace == bundle.root and whole_namespace(one)],
    )
    for scope in scopes:
        names = {name for one in tracings(scope) for _, name in one.providers[:1]}
        if names:
            return names.pop() if len(names) == 1 else ""
    names = {name for mesh in bundle.meshes for name in mesh.defaults[:1]}
    return names.pop() if len(names) == 1 else ""


def provider(bundle: Bundle, name: str) -> Provider | None:
    """The provider of that name, when every mesh configuration agrees about it."""
    found = [one for mesh in bundle.meshes for one in mesh.providers if one.name == name]
    if not found or len({(one.formats, one.service, one.port) for one in found}) != 1:
        return None
    return found[0]


def used(bundle: Bundle, name: str) -> bool:
    """Whether a Telemetry of the run, or the mesh's default, names the provider."""
    named = {found for one in tracings(telemetries(bundle.all)) for _, found in one.providers[:1]}
    return name in named or any(name in mesh.defaults[:1] for mesh in bundle.meshes)
