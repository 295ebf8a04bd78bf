"""Sidecars: namespaces that lack the label, pods that opt out, labels that stand where nobody reads them."""

from __future__ import annotations

from collections.abc import Iterator

from meshtrail.lint.bundle import AMBIENT, INJECT, REVISION, SYSTEM, Bundle
from meshtrail.lint.finding import Found
from meshtrail.lint.objects import Object, strings
from meshtrail.lint.ports import TRACING, ports, speaks_http
from meshtrail.lint.routes import MESH, at_gateway, destinations, gateways_of, service_name
from meshtrail.lint.rule import error, note, rule, warning
from meshtrail.lint.workload import Workload

INJECTION = "istio-injection"
FOR_SIDECARS = ("PeerAuthentication", "Sidecar", "DestinationRule")
WAYPOINT = "istio.io/use-waypoint"


def _needs_sidecars(bundle: Bundle, namespace: str) -> str:
    """The Istio object that shows that sidecars are expected in a namespace; "" for none."""
    for kind in FOR_SIDECARS:
        for one in bundle.of(kind, "istio.io"):
            if one.namespace == namespace:
                return one.title
    for one in bundle.of("VirtualService", "istio.io"):
        if one.namespace == namespace and MESH in gateways_of(one):
            return one.title
    return ""


def _routed(bundle: Bundle, namespace: str) -> str:
    """The VirtualService that leads requests from a gateway into a namespace."""
    for one in bundle.of("VirtualService", "istio.io"):
        if at_gateway(one):
            for destination in destinations(one):
                found = service_name(destination.host, one.namespace)
                if found and found[1] == namespace:
                    return one.title
    return ""


def _plain(bundle: Bundle, namespace: str) -> list[Workload]:
    """Workloads that depend on the namespace for their sidecar."""
    return [
        one
        for one in bundle.workloads
        if one.object.namespace == namespace
        and not one.is_gateway
        and one.object.kind not in ("Job", "CronJob")
        and bundle.membership(one) == "out"
        and one.labels.get(INJECT, one.annotations.get(INJECT, "")).lower() != "false"
        and one.spec("hostNetwork") is not True
    ]


@rule(
    "injection-missing",
    "A namespace of the mesh gets no sidecars",
    "error",
    "warning",
    why="""Without a sidecar there is nobody to make spans: the trace ends at the caller, and callers' headers go no
    further.""",
    mend="Label the Namespace `istio-injection: enabled` (or `istio.io/rev: REVISION`), then restart its workloads.",
    conditions="""The Namespace has to be in the manifests, workloads of it too, and an Istio object that is there
    for sidecars (error) or a route into it from a gateway (warning). Pods may ask for a sidecar themselves.
    `istio.io/rev` and ambient's `istio.io/dataplane-mode` count.""",
)
def injection_missing(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.of("Namespace"):
        if one.name in SYSTEM or bundle.namespace_membership(one.name) != "out" or not _plain(bundle, one.name):
            continue
        needing, routed = _needs_sidecars(bundle, one.name), _routed(bundle, one.name)
        if not needing and not routed:
            continue
        said = one.labels.get(INJECTION)
        path: tuple[str, ...] = ("metadata", "labels")
        if INJECTION in one.annotations or REVISION in one.annotations:
            path = ("metadata", "annotations", INJECTION if INJECTION in one.annotations else REVISION)
            text = "says so in an annotation, which nobody reads: it has to be a label"
        elif said is not None:
            path = ("metadata", "labels", INJECTION)
            text = (
                "injection is switched off" if said == "disabled" else f"{said!r} is not 'enabled': nothing is injected"
            )
        else:
            text = "has no label for injection: its pods get no sidecar"
        reason = f"{needing} is for sidecars" if needing else f"{routed} leads requests there"
        found = error if needing else warning
        yield found(one, path, f"{text}, and {reason}", "label it istio-injection: enabled")


@rule(
    "injection-opted-out",
    "A service of the mesh has opted out of its sidecar",
    "warning",
    why="""`sidecar.istio.io/inject: "false"` on a pod wins over its namespace: the hop is missing from every trace,
    and under STRICT mutual TLS its callers are refused elsewhere.""",
    mend="Remove the label or annotation from the pod template.",
    conditions="""The namespace has to be known to inject, and a Service with an HTTP port has to lead to the pods.
    Collectors and Jaeger are better without a sidecar; jobs and databases nobody asks.""",
)
def injection_opted_out(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.workloads:
        place = next((name for name in ("labels", "annotations") if _says_no(one, name)), "")
        if not place or one.is_gateway:
            continue
        if bundle.namespace_membership(one.object.namespace) != "sidecar":
            continue
        asked = _http_service(bundle, one)
        if asked is not None:
            yield warning(
                one.object,
                (*one.template, "metadata", place, INJECT),
                f"gets no sidecar in a namespace that injects, and {asked.title} leads requests to it: no spans",
                "remove it, or ignore this with the reason",
            )


def _says_no(one: Workload, place: str) -> bool:
    said = strings(one.object.get(*one.template, "metadata", place)).get(INJECT, "").lower()
    return said == "false"


def _http_service(bundle: Bundle, one: Workload) -> Object | None:
    for service in bundle.services_of(one):
        found = ports(service)
        if any(port.number in TRACING for port in found):
            return None
        if any(speaks_http(port.protocol) for port in found):
            return service
    return None


@rule(
    "injection-misplaced",
    "A label for injection stands where nobody reads it",
    "warning",
    why="""Istio reads `sidecar.istio.io/inject` and `istio.io/rev` of the pod. On the Deployment itself they do
    nothing, whatever they say.""",
    mend="Put it under `spec.template.metadata.labels`.",
    conditions="Not where the pod template says the same, or the namespace has the same effect.",
)
def injection_misplaced(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.workloads:
        if not one.template or one.is_gateway:
            continue
        for place in ("labels", "annotations"):
            said = strings(one.object.get("metadata", place)).get(INJECT, "").lower()
            if said not in ("true", "false") or INJECT in one.labels or INJECT in one.annotations:
                continue
            now = bundle.membership(one)
            if (said == "true" and now == "sidecar") or (said == "false" and now == "out"):
                continue
            yield warning(
                one.object,
                ("metadata", place, INJECT),
                f"stands on the {one.object.kind}, where Istio does not look: the pods get no such label",
                "put it under spec.template.metadata.labels",
            )


@rule(
    "host-network",
    "A service of the mesh runs in the network of its node",
    "warning",
    why="""A pod with `hostNetwork: true` never gets a sidecar, and Istio says nothing about it: its hop is missing
    from every trace.""",
    mend="Take `hostNetwork` out, or leave the workload outside of the mesh with this warning ignored.",
    conditions="The namespace has to be known to inject, and a Service with an HTTP port has to lead to the pods.",
)
def host_network(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.workloads:
        if one.spec("hostNetwork") is not True or one.is_gateway or _says_no(one, "labels"):
            continue
        if bundle.namespace_membership(one.object.namespace) == "sidecar" and _http_service(bundle, one) is not None:
            yield warning(
                one.object,
                (*one.template, "spec", "hostNetwork"),
                "pods in the network of the node get no sidecar, though the namespace injects: no spans",
                "take hostNetwork out",
            )


@rule(
    "ambient-without-waypoint",
    "An ambient namespace has no waypoint",
    "note",
    why="""In ambient mode ztunnel carries connections and knows no requests. Only a waypoint makes spans, so
    without one the gateway's are all that a trace has.""",
    mend="Label the Namespace `istio.io/use-waypoint: NAME` and add the Gateway of class `istio-waypoint`.",
    conditions="A Service of the namespace may name its waypoint itself.",
)
def ambient_without_waypoint(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.of("Namespace"):
        if one.labels.get(AMBIENT) != "ambient" or one.labels.get(WAYPOINT, "none") != "none":
            continue
        services = [service for named in bundle.own.services.get(one.name, {}).values() for service in named]
        if services and not any(service.labels.get(WAYPOINT) for service in services):
            yield note(
                one,
                ("metadata", "labels", AMBIENT),
                "ambient without a waypoint: no spans for requests inside of this namespace",
                "label it istio.io/use-waypoint: waypoint, and add that Gateway",
            )
