"""Health checks that fill the traces."""

from __future__ import annotations

from collections.abc import Iterator

from meshtrail.lint.bundle import Bundle
from meshtrail.lint.finding import Found
from meshtrail.lint.objects import Object, Path, dig, sequence, text
from meshtrail.lint.routes import at_gateway, service_name
from meshtrail.lint.rule import note, rule, warning
from meshtrail.lint.rules.routing import excluded_routes
from meshtrail.manifests.document import Map

REWRITE = "sidecar.istio.io/rewriteAppHTTPProbers"
HEALTH = frozenset(
    {
        "/health",
        "/healthz",
        "/healthcheck",
        "/health-check",
        "/livez",
        "/live",
        "/readyz",
        "/ready",
        "/ping",
        "/actuator/health",
    }
)


@rule(
    "probes-not-rewritten",
    "Kubelet's probes go through the sidecar",
    "warning",
    why="""Istio leads httpGet probes past the sidecar. With this switched off every probe of every pod is a trace
    of its own (seen on Istio 1.29), and under STRICT mutual TLS it fails.""",
    mend="""Remove the annotation `sidecar.istio.io/rewriteAppHTTPProbers` (or `rewriteAppHTTPProbe: false` of the
    values).""",
    conditions="Not for pods without a sidecar, nor for those without httpGet probes.",
)
def probes_not_rewritten(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.workloads:
        said = one.annotations.get(REWRITE, "").lower()
        probes = [probe for container in one.containers for probe in container.http_probes()]
        if said == "false" and probes and bundle.membership(one) in ("sidecar", "unknown"):
            path = (*one.template, "metadata", "annotations", REWRITE)
            yield warning(one.object, path, f"each probe of {probes[0][1]} becomes a trace", "remove the annotation")
    for mesh in bundle.own.meshes:
        for prefix in (("spec", "values"), ()):
            place: Path = (*prefix, "sidecarInjectorWebhook", "rewriteAppHTTPProbe")
            if mesh.object.get(*place) is False:
                yield warning(
                    mesh.object, place, "kubelet's probes go through every sidecar: each is a trace", "remove it"
                )


@rule(
    "health-route-traced",
    "Health checks from outside are traced",
    "note",
    why="""A load balancer that asks every few seconds for a path which a gateway routes fills the store with traces
    that nobody reads. Sampling 0 on that route keeps them out, in the services behind it too.""",
    mend="Name the route and set its sampling to 0 with an EnvoyFilter, as `istio/mesh/health-checks.yaml` does.",
    conditions="""Only routes of a gateway with a path of its own for health: a probe's, or a usual one. Not where
    an EnvoyFilter anywhere in the manifests sets sampling to 0 for the name of the route, nor for a route with a
    name where nothing of the mesh's own is among the manifests.""",
)
def health_route_traced(bundle: Bundle) -> Iterator[Found]:
    excluded = excluded_routes(bundle)
    if "" in excluded:
        return
    # A route with a name may be excluded by an EnvoyFilter that is applied elsewhere, with the rest of the mesh's own.
    named_too = bool(bundle.meshes or bundle.all.of("EnvoyFilter") or _mesh_wide(bundle))
    for one in bundle.of("VirtualService", "istio.io"):
        if at_gateway(one):
            for path, route in one.items("spec", "http"):
                if text(route.get("name")) not in excluded and (named_too or not route.get("name")):
                    hosts = [text(dig(entry, ("destination", "host"))) for entry in sequence(route.get("route"))]
                    yield from _route(bundle, one, path, route, hosts)
    for one in bundle.of("HTTPRoute", "gateway.networking.k8s.io"):
        for path, route in one.items("spec", "rules"):
            if text(route.get("name")) not in excluded and (named_too or not route.get("name")):
                hosts = [text(dig(entry, ("name",))) for entry in sequence(route.get("backendRefs"))]
                yield from _route(bundle, one, path, route, hosts)


def _mesh_wide(bundle: Bundle) -> bool:
    return any(one.namespace == bundle.root for one in bundle.all.of("Telemetry", "istio.io"))


def _route(bundle: Bundle, one: Object, path: Path, route: Map, hosts: list[str]) -> Iterator[Found]:
    known = HEALTH | {url for host in hosts for url in _probed(bundle, host, one.namespace) if url != "/"}
    for field in ("match", "matches"):
        for index, match in enumerate(sequence(route.get(field))):
            for way in (("uri", "exact"), ("uri", "prefix"), ("path", "value")):
                url = text(dig(match, way))
                if url and url in known:
                    name = text(route.get("name"))
                    mend = (
                        f"set sampling to 0 for route {name!r}"
                        if name
                        else "give the route a name, set its sampling to 0"
                    )
                    yield note(
                        one,
                        (*path, field, index, *way),
                        f"requests for {url} through the gateway are traced like any other",
                        f"{mend} with an EnvoyFilter",
                    )
                    return


def _probed(bundle: Bundle, host: str, namespace: str) -> set[str]:
    found = service_name(host, namespace)
    services = bundle.service(*found) if found else []
    return {
        url
        for service in services
        for pod in bundle.selected(service)
        for container in pod.containers
        for _, url, _ in container.http_probes()
    }
