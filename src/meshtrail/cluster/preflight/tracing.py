"""Tracing: every proxy is given a provider that exists, samples something, and reaches its collector."""

from __future__ import annotations

from meshtrail.cluster import objects
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.preflight.findings import Finding, fail, listed, ok, warn
from meshtrail.cluster.preflight.telemetry import Effective, Proxies, effective, ignored, providers, proxies
from meshtrail.cluster.snapshot import ROOT, Snapshot
from meshtrail.mesh.names import fqdn, protocol

APPLY_MESH = "kubectl apply -k istio/mesh"
INSTALL = "istioctl install -f istio/install/demo.yaml"
WHOLE_MESH = Proxies("the mesh", "", {}, {}, gateway=True)
"""Stands for all proxies as long as the application is not deployed."""


def provider(snapshot: Snapshot) -> list[Finding]:
    """Istio sends no span before a Telemetry, or the mesh's default, names a provider of the mesh configuration.

    A name that is not there disables tracing silently, and `istioctl analyze` does not find it.
    """
    if "telemetries.telemetry.istio.io" in snapshot.forbidden:
        return [warn("provider", "may not look at Telemetry", f"kubectl get telemetry -A -n {snapshot.namespace}")]
    if snapshot.mesh is None:
        mend = f"kubectl -n {ROOT} get configmap istio; {INSTALL}"
        return [fail("provider", f"no mesh configuration (ConfigMap istio in {ROOT}), or it may not be read", mend)]
    known = providers(snapshot)
    none: list[str] = []
    unknown: dict[tuple[str, str], list[str]] = {}
    off: dict[str, list[str]] = {}
    good: dict[str, list[str]] = {}
    sources: list[str] = []
    for proxy, settings in _settings(snapshot):
        if not settings.provider:
            none.append(proxy.title)
        elif settings.provider not in known:
            unknown.setdefault((settings.provider, settings.provider_from), []).append(proxy.title)
        elif settings.off_by:
            off.setdefault(settings.off_by, []).append(proxy.title)
        else:
            good.setdefault(settings.provider, []).append(proxy.title)
            sources.append(settings.provider_from)
    findings = []
    if none:
        findings.append(
            fail("provider", f"no Telemetry names a tracing provider for {listed(none)}: no spans", APPLY_MESH)
        )
    for (name, source), titles in unknown.items():
        mend = f"name one of {listed(list(known), 8) or 'none'} in {source}, or add it: {INSTALL}"
        seen = (
            f"{source} names provider '{name}', which the mesh configuration does not have: no spans from "
            f"{listed(titles)}"
        )
        findings.append(fail("provider", seen, mend))
    for source, titles in off.items():
        findings.append(
            fail(
                "provider",
                f"{source} says disableSpanReporting: no spans from {listed(titles)}",
                f"take disableSpanReporting out of {source}",
            )
        )
    if len(good) > 1:
        seen = "; ".join(f"{listed(titles)} to '{name}'" for name, titles in good.items())
        findings.append(
            warn(
                "provider",
                f"not one provider for all: {seen}; a trace may be spread, or change its header format on the way",
                "name one provider, in the mesh-wide Telemetry",
            )
        )
    if good and not findings:
        (name,) = good
        findings.append(ok("provider", f"'{name}' for every proxy, by {listed(sources)}"))
    for left_out, taken in ignored(snapshot):
        findings.append(
            warn(
                "provider",
                f"Istio ignores {objects.title(left_out)}: {objects.title(taken)} is older "
                "and holds for the same namespace",
                f"kubectl -n {objects.namespace(left_out)} delete telemetry {objects.name(left_out)}, or join the two",
            )
        )
    return findings


def sampling(snapshot: Snapshot) -> list[Finding]:
    """The gateway decides for the requests that come through it; a sidecar only for those that begin in the mesh."""
    findings: list[Finding] = []
    figures: dict[tuple[float, str], list[str]] = {}
    for proxy, settings in _settings(snapshot):
        figures.setdefault((settings.sampling, settings.sampling_from), []).append(proxy.title)
        if settings.sampling > 0:
            continue
        mend = _raise(settings.sampling_from)
        if proxy.gateway:
            seen = f"{proxy.title} samples 0 %, by {settings.sampling_from}: no request is traced"
            findings.append(fail("sampling", seen, mend))
    zero = {source: titles for (figure, source), titles in figures.items() if figure <= 0}
    for source, titles in zero.items():
        inside = [title for title in titles if not title.startswith(("gateway ", "the mesh"))]
        if inside:
            seen = (
                f"{listed(inside)}: 0 %, by {source}; requests that begin there, and what follows a dropped header, "
                "are not traced"
            )
            findings.append(warn("sampling", seen, _raise(source)))
    for proxy, settings in _settings(snapshot):
        if proxy.gateway and 0 < settings.sampling < 100:
            every = round(100 / settings.sampling)
            seen = (
                f"{proxy.title} samples {settings.sampling:g} %, by {settings.sampling_from}: about one request in "
                f"{every} is traced"
            )
            mend = f"for a demonstration {APPLY_MESH} (100 %), or send {every * 5} requests"
            findings.append(warn("sampling", seen, mend))
    if not findings and figures:
        shown = "; ".join(f"{figure:g} % by {source}" for figure, source in figures)
        findings.append(ok("sampling", shown))
    return findings


def _raise(source: str) -> str:
    if source.startswith("Telemetry "):
        place, _, name = source.removeprefix("Telemetry ").partition("/")
        return f"raise randomSamplingPercentage: kubectl -n {place} edit telemetry {name}"
    return f"{APPLY_MESH} (100 %)"


def collector(snapshot: Snapshot) -> list[Finding]:
    """The Service and port that a provider names exist, are ready, and are named for their protocol."""
    known = providers(snapshot)
    used = {settings.provider for _, settings in _settings(snapshot) if settings.provider in known}
    return [_collector(snapshot, name, known[name]) for name in sorted(used)]


def _collector(snapshot: Snapshot, name: str, entry: Object) -> Finding:
    kind = next((kind for kind in ("opentelemetry", "zipkin") if kind in entry), None)
    if kind is None:
        other = next((key for key in entry if key != "name"), "nothing")
        return warn("collector", f"provider '{name}' is {other}: not looked at", "take opentelemetry or zipkin")
    host = str(dig(entry, kind, "service", default="")).rpartition("/")[2]
    port = int(dig(entry, kind, "port", default=0))
    parts = host.split(".")
    if len(parts) < 3 or parts[2] != "svc":
        return warn(
            "collector",
            f"provider '{name}' sends to {host}:{port}, no Service of the cluster by its whole name: not looked at",
            "Istio wants the whole name, e.g. jaeger-collector.istio-system.svc.cluster.local",
        )
    service = snapshot.find("Service", parts[1], parts[0])
    where = f"provider '{name}' sends to {parts[1]}/{parts[0]}:{port}"
    if service is None:
        return fail(
            "collector",
            f"{where}, and there is no such Service",
            "kubectl apply -k k8s/jaeger/all-in-one, or mend the provider in the mesh configuration",
        )
    ports = dig(service, "spec", "ports", default=[])
    found = next((one for one in ports if one["port"] == port), None)
    if found is None:
        have = ", ".join(str(one["port"]) for one in ports)
        return fail(
            "collector",
            f"{where}, and the Service has no port {port} but {have}",
            "mend the provider's port in the mesh configuration (4317: OTLP over gRPC, 9411: Zipkin)",
        )
    if not snapshot.ready_endpoints(service):
        return fail(
            "collector",
            f"{where}, and no pod behind it is ready",
            f"kubectl -n {parts[1]} describe service {parts[0]}; then its pods",
        )
    port_name = str(found.get("name", ""))
    over_http = kind == "zipkin" or "http" in entry[kind]
    if not over_http and protocol(port_name, str(found.get("appProtocol", ""))) != "http2":
        return fail(
            "collector",
            f"{where}: OTLP over gRPC, to a port named '{port_name}'",
            f"name it grpc-otlp: kubectl -n {parts[1]} edit service {parts[0]}; a port for gRPC has to begin with grpc",
        )
    return ok("collector", f"{where} ({fqdn(parts[0], parts[1])}), which is ready")


def _settings(snapshot: Snapshot) -> list[tuple[Proxies, Effective]]:
    found = proxies(snapshot) or (Proxies(WHOLE_MESH.title, ROOT, {}, {}, gateway=True),)
    return [(proxy, effective(snapshot, proxy)) for proxy in found]
