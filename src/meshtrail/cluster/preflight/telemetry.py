"""Which tracing a proxy is given: Istio's merge of Telemetry objects, and where each setting comes from.

The mesh's default, the root namespace, the namespace, the workload: each overrides the one before. Of several objects
of one scope Istio takes the oldest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshtrail.cluster import objects
from meshtrail.cluster.application import containers, template_annotations, template_labels, workloads
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.preflight.control_plane import istiods
from meshtrail.cluster.routes import GATEWAY_NAME, entrances, gateway_pods
from meshtrail.cluster.snapshot import ROOT, Snapshot

CODE_DEFAULT = 1.0
"""Percent; what Istio samples when nothing says anything."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxies that share their settings: those of a workload, or of the gateway."""

    title: str
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    gateway: bool = False


@dataclass(frozen=True, slots=True)
class Effective:
    """`provider` is empty when none is named; `sampling` in percent. The `_from` fields name who says it."""

    provider: str
    provider_from: str
    sampling: float
    sampling_from: str
    off_by: str = ""
    """The object whose disableSpanReporting holds; empty when spans are reported."""


def proxies(snapshot: Snapshot) -> tuple[Proxies, ...]:
    """The gateway's first: it decides whether a request is sampled, and the sidecars follow its decision."""
    found: dict[str, Proxies] = {}
    for way in entrances(snapshot):
        for pod in gateway_pods(snapshot, way.gateway)[:1]:
            home = objects.namespace(pod)
            title = f"gateway {home}/{objects.name(way.service)}"
            found[title] = Proxies(title, home, objects.labels(pod), objects.annotations_of(pod), gateway=True)
    for one in workloads(snapshot):
        title = objects.name(one)
        home = objects.namespace(one)
        found[title] = Proxies(title, home, template_labels(one), template_annotations(one))
    return tuple(found.values())


def effective(snapshot: Snapshot, proxy: Proxies) -> Effective:
    provider, provider_from = _default_provider(snapshot), "meshConfig.defaultProviders"
    sampling, sampling_from = _default_sampling(snapshot)
    off_by = ""
    for telemetry in applicable(snapshot, proxy):
        title = objects.title(telemetry)
        for tracing in dig(telemetry, "spec", "tracing", default=[]):
            # A gateway only sends, and a sidecar's own requests begin at its outbound side: CLIENT is what decides.
            if dig(tracing, "match", "mode", default="CLIENT_AND_SERVER") not in ("CLIENT_AND_SERVER", "CLIENT"):
                continue
            if tracing.get("providers"):
                provider, provider_from = str(tracing["providers"][0]["name"]), title
            if tracing.get("randomSamplingPercentage") is not None:
                sampling, sampling_from = float(tracing["randomSamplingPercentage"]), title
            if tracing.get("disableSpanReporting") is not None:
                off_by = title if tracing["disableSpanReporting"] else ""
    return Effective(provider, provider_from if provider else "", sampling, sampling_from, off_by)


def applicable(snapshot: Snapshot, proxy: Proxies) -> Iterator[Object]:
    """The Telemetry objects that reach a proxy, the weakest first."""
    own = _oldest_first(snapshot.of("Telemetry", proxy.namespace))
    scopes = [[one for one in _oldest_first(snapshot.of("Telemetry", ROOT)) if _whole(one)]]
    if proxy.namespace != ROOT:
        scopes.append([one for one in own if _whole(one)])
    scopes.append([one for one in own if _names(one, proxy.labels)])
    for scope in scopes:
        yield from scope[:1]


def ignored(snapshot: Snapshot) -> list[tuple[Object, Object]]:
    """Telemetry objects for a whole namespace that Istio leaves out, each with the older one that it takes instead."""
    pairs = []
    for place in dict.fromkeys((ROOT, snapshot.namespace)):
        whole = [one for one in _oldest_first(snapshot.of("Telemetry", place)) if _whole(one)]
        pairs += [(one, whole[0]) for one in whole[1:]]
    return pairs


def providers(snapshot: Snapshot) -> dict[str, Object]:
    """The mesh configuration's extension providers by name: `{"opentelemetry": {"service": ..., "port": ...}}`."""
    return {str(one.get("name")): one for one in dig(snapshot.mesh, "extensionProviders", default=[])}


def _default_provider(snapshot: Snapshot) -> str:
    return str(dig(snapshot.mesh, "defaultProviders", "tracing", 0, default=""))


def _default_sampling(snapshot: Snapshot) -> tuple[float, str]:
    named = dig(snapshot.mesh, "defaultConfig", "tracing", "sampling")
    if named is not None:
        return float(named), "meshConfig.defaultConfig.tracing.sampling"
    for istiod in istiods(snapshot):
        for container in containers(istiod):
            value = objects.environment(container).get("PILOT_TRACE_SAMPLING")
            if value:
                return float(value), f"istiod's PILOT_TRACE_SAMPLING (traceSampling) in {ROOT}"
    return CODE_DEFAULT, "Istio's own default: nothing says otherwise"


def _oldest_first(found: Iterable[Object]) -> list[Object]:
    return sorted(found, key=lambda one: (str(dig(one, "metadata", "creationTimestamp", default="")), objects.key(one)))


def _whole(telemetry: Object) -> bool:
    spec = telemetry.get("spec") or {}
    return not (dig(spec, "selector", "matchLabels") or spec.get("targetRef") or spec.get("targetRefs"))


def _names(telemetry: Object, labels: Mapping[str, str]) -> bool:
    """Whether it names the workload: by labels, or by the Gateway that the proxy was made for."""
    spec = telemetry.get("spec") or {}
    if objects.selects(dig(spec, "selector", "matchLabels", default={}), labels):
        return True
    targets = [*(spec.get("targetRefs") or []), *([spec["targetRef"]] if spec.get("targetRef") else [])]
    return any(one.get("kind") == "Gateway" and one.get("name") == labels.get(GATEWAY_NAME) for one in targets)
