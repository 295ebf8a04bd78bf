"""The way in: which routes of the namespace hang on which gateway, and which Service that gateway has.

Istio's own API and the Gateway API, read from the namespace's VirtualServices and HTTPRoutes, so that nothing has to
be told by the user.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshtrail.cluster import objects
from meshtrail.cluster.kubectl import ClusterError
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.snapshot import GATEWAY_API, ISTIO, Snapshot

GATEWAY_NAME = f"{GATEWAY_API}/gateway-name"
ANY_HOST = "meshtrail"
"""What stands for the star of a host such as *.example.com."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A Service by namespace and name; `port` None when the route names none."""

    namespace: str
    name: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Route:
    """A VirtualService or HTTPRoute of the namespace. `gateways` are (namespace, name), empty for calls in the mesh."""

    object: Object
    api: str
    gateways: tuple[tuple[str, str], ...]
    hosts: tuple[str, ...]
    destinations: tuple[Destination, ...]


@dataclass(frozen=True, slots=True)
class Entrance:
    """A gateway's Service and its port for plain HTTP; `host` is the Host that the route wants, empty for any."""

    gateway: Object
    route: Route
    service: Object
    port: int
    host: str


def routes(snapshot: Snapshot) -> tuple[Route, ...]:
    """All routes of the namespace, Istio's own first."""
    place = snapshot.namespace
    return (
        *(_virtual_service(one) for one in snapshot.of("VirtualService", place)),
        *(_http_route(one) for one in snapshot.of("HTTPRoute", place)),
    )


def _virtual_service(one: Object) -> Route:
    place = objects.namespace(one)
    gateways = []
    for reference in dig(one, "spec", "gateways", default=[]):
        if reference != "mesh":
            home, _, name = str(reference).rpartition("/")
            gateways.append((home or place, name))
    destinations = [
        _destination(str(target["host"]), place, dig(target, "port", "number"))
        for http in dig(one, "spec", "http", default=[])
        for entry in http.get("route") or []
        if (target := entry.get("destination"))
    ]
    hosts = tuple(str(host) for host in dig(one, "spec", "hosts", default=[]))
    return Route(one, ISTIO, tuple(gateways), hosts, _services(destinations))


def _http_route(one: Object) -> Route:
    place = objects.namespace(one)
    gateways = [
        (str(parent.get("namespace", place)), str(parent["name"]))
        for parent in dig(one, "spec", "parentRefs", default=[])
        if parent.get("kind", "Gateway") == "Gateway"
    ]
    destinations = [
        Destination(str(backend.get("namespace", place)), str(backend["name"]), backend.get("port"))
        for rule in dig(one, "spec", "rules", default=[])
        for backend in rule.get("backendRefs") or []
        if backend.get("kind", "Service") == "Service"
    ]
    hosts = tuple(str(host) for host in dig(one, "spec", "hostnames", default=[])) or ("*",)
    return Route(one, GATEWAY_API, tuple(dict.fromkeys(gateways)), hosts, _services(destinations))


def _services(destinations: list[Destination | None] | list[Destination]) -> tuple[Destination, ...]:
    return tuple(dict.fromkeys(one for one in destinations if one is not None))


def _destination(host: str, place: str, port: int | None) -> Destination | None:
    """A Service of the cluster as Istio completes the name; None for a host elsewhere."""
    parts = host.split(".")
    if len(parts) == 1:
        return Destination(place, host, port)
    # Istio completes only a name without a dot; `name.namespace` is no host that it knows, but people write it.
    if len(parts) == 2 or parts[2] == "svc":
        return Destination(parts[1], parts[0], port)
    return None


def gateway_of(snapshot: Snapshot, route: Route, reference: tuple[str, str]) -> Object | None:
    return snapshot.find("Gateway", *reference, group=route.api)


def gateway_pods(snapshot: Snapshot, gateway: Object) -> tuple[Object, ...]:
    """The proxies that carry a Gateway out: selected by labels in any namespace, or made for it by Istio."""
    if objects.group(gateway) == ISTIO:
        return snapshot.selected("Pod", None, dig(gateway, "spec", "selector", default={}))
    return snapshot.selected("Pod", objects.namespace(gateway), {GATEWAY_NAME: objects.name(gateway)})


def gateway_services(snapshot: Snapshot, gateway: Object) -> tuple[Object, ...]:
    """The Services that lead to those proxies, the load balancer first."""
    pods = gateway_pods(snapshot, gateway)
    found = [
        service
        for service in snapshot.of("Service")
        if any(
            objects.namespace(pod) == objects.namespace(service)
            and objects.selects(dig(service, "spec", "selector", default={}), objects.labels(pod))
            for pod in pods
        )
    ]
    kinds = ("LoadBalancer", "NodePort", "ClusterIP")
    return tuple(sorted(found, key=lambda one: kinds.index(dig(one, "spec", "type", default="ClusterIP"))))


def http_ports(gateway: Object) -> tuple[int, ...]:
    """The ports on which a Gateway takes plain HTTP, those that only redirect to HTTPS left out."""
    if objects.group(gateway) == ISTIO:
        return tuple(
            int(dig(server, "port", "number", default=0))
            for server in dig(gateway, "spec", "servers", default=[])
            if str(dig(server, "port", "protocol", default="")).upper() in ("HTTP", "HTTP2", "GRPC")
            and not dig(server, "tls", "httpsRedirect", default=False)
        )
    listeners = dig(gateway, "spec", "listeners", default=[])
    return tuple(int(one["port"]) for one in listeners if one.get("protocol") == "HTTP")


def service_port(service: Object, port: int) -> int | None:
    """The Service's port for a Gateway's: the same number, or the one that leads to it (8080 behind 80)."""
    ports = dig(service, "spec", "ports", default=[])
    for field in ("port", "targetPort"):
        for one in ports:
            if one.get(field) == port:
                return int(one["port"])
    return None


def entrances(snapshot: Snapshot) -> Iterator[Entrance]:
    """Every way in over plain HTTP, in the order of the routes."""
    for route in routes(snapshot):
        for reference in route.gateways:
            gateway = gateway_of(snapshot, route, reference)
            if gateway is None:
                continue
            for service in gateway_services(snapshot, gateway):
                for port in http_ports(gateway):
                    found = service_port(service, port)
                    if found is not None:
                        yield Entrance(gateway, route, service, found, _host(route, gateway))


def entrance(snapshot: Snapshot) -> Entrance:
    """The first way in. Raises ClusterError saying what is missing on the way."""
    found = next(entrances(snapshot), None)
    if found is not None:
        return found
    place = snapshot.namespace
    known = [route for route in routes(snapshot) if route.gateways]
    mend = f"see `meshtrail preflight --context {snapshot.context} --namespace {place}`"
    if not known:
        raise ClusterError(f"no route of namespace {place} hangs on a gateway", mend=mend)
    raise ClusterError(f"{objects.title(known[0].object)} hangs on no gateway that takes plain HTTP", mend=mend)


def _host(route: Route, gateway: Object) -> str:
    """A host that both take: the route's own if it names one, else the gateway's, else any."""
    if objects.group(gateway) == ISTIO:
        offered = [host for server in dig(gateway, "spec", "servers", default=[]) for host in server.get("hosts") or []]
    else:
        offered = [one.get("hostname", "*") for one in dig(gateway, "spec", "listeners", default=[])]
    for host in (*route.hosts, *(str(one).rpartition("/")[2] for one in offered)):
        if host and host != "*":
            return f"{ANY_HOST}{host[1:]}" if host.startswith("*.") else host
    return ""


def entry_service(found: Entrance) -> str:
    """`service.name` of the sidecar behind the gateway, `<app label>.<namespace>`; the label is the Service's name."""
    target = next(iter(found.route.destinations), None)
    return f"{target.name}.{target.namespace}" if target else ""
