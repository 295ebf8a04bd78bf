"""What a cluster holds at one moment, as far as tracing an application needs it: read in a second, never changed.

Fetched are the application's namespace, Istio's, and those in which a gateway or the tracing collector lives; not
Secrets. Everything that is concluded from it is a pure function of a snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import yaml

from meshtrail.cluster import objects
from meshtrail.cluster.kubectl import ForbiddenError, Kubectl, NotFoundError, UnknownKindError
from meshtrail.cluster.objects import Object, dig

ROOT = "istio-system"
"""Istio's root namespace: istiod, the mesh configuration, the Telemetry of the whole mesh; by default Jaeger too."""

ISTIO = "networking.istio.io"
GATEWAY_API = "gateway.networking.k8s.io"

CORE_KINDS = (
    "pods",
    "services",
    "deployments.apps",
    "statefulsets.apps",
    "endpointslices.discovery.k8s.io",
)
ISTIO_KINDS = {
    "networking.istio.io": ("gateways.networking.istio.io", "virtualservices.networking.istio.io"),
    "telemetry.istio.io": ("telemetries.telemetry.istio.io",),
    "gateway.networking.k8s.io": ("gateways.gateway.networking.k8s.io", "httproutes.gateway.networking.k8s.io"),
}
CLUSTER_KINDS = ("namespaces", "nodes", "mutatingwebhookconfigurations.admissionregistration.k8s.io")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`server` is the API server's URL, `version` Kubernetes' (`v1.34.4`), `apis` the groups that it serves.

    `mesh` is the mesh configuration, None when it is not there or may not be read; `forbidden` names what the user may
    not list.
    """

    context: str
    server: str
    version: str
    apis: frozenset[str]
    namespace: str
    items: tuple[Object, ...]
    mesh: Object | None = None
    forbidden: tuple[str, ...] = ()
    _by_kind: dict[str, list[Object]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        seen = set()
        for one in self.items:
            identity = (objects.group(one), one["kind"], objects.key(one))
            if identity not in seen:
                seen.add(identity)
                self._by_kind.setdefault(one["kind"], []).append(one)

    def of(self, kind: str, namespace: str | None = None, *, group: str | None = None) -> tuple[Object, ...]:
        """The objects of a kind; of one namespace, of one API group where several have the kind (Gateway)."""
        return tuple(
            one
            for one in self._by_kind.get(kind, ())
            if (namespace is None or objects.namespace(one) == namespace)
            and (group is None or objects.group(one) == group)
        )

    def find(self, kind: str, namespace: str, name: str, *, group: str | None = None) -> Object | None:
        found = (one for one in self.of(kind, namespace, group=group) if objects.name(one) == name)
        return next(found, None)

    def namespace_object(self, namespace: str | None = None) -> Object | None:
        wanted = self.namespace if namespace is None else namespace
        return next((one for one in self.of("Namespace") if objects.name(one) == wanted), None)

    def selected(self, kind: str, namespace: str | None, selector: Mapping[str, str]) -> tuple[Object, ...]:
        """The objects whose labels satisfy a selector; pods that have ended are left out."""
        return tuple(
            one
            for one in self.of(kind, namespace)
            if objects.selects(selector, objects.labels(one))
            and dig(one, "status", "phase") not in ("Succeeded", "Failed")
        )

    def ready_endpoints(self, service: Object) -> int:
        """How many addresses behind a Service are ready."""
        return sum(
            len(endpoint.get("addresses") or [])
            for part in self.of("EndpointSlice", objects.namespace(service))
            if objects.labels(part).get("kubernetes.io/service-name") == objects.name(service)
            for endpoint in part.get("endpoints") or []
            if dig(endpoint, "conditions", "ready", default=True)
        )


def fetch(kubectl: Kubectl, namespace: str) -> Snapshot:
    """Raises ClusterError when the cluster does not answer, or the namespace may not be read at all."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        server = pool.submit(_server, kubectl)
        # Asks the server itself, not the cache of its answers: who has just installed Istio shall find it.
        groups = pool.submit(kubectl.run, "api-versions", "--request-timeout=5s")
        version = json.loads(kubectl.run("version", "-o", "json", "--request-timeout=5s"))
        apis = frozenset(line.partition("/")[0] for line in groups.result().split())
        kinds = [*CORE_KINDS, *(kind for group, names in ISTIO_KINDS.items() if group in apis for kind in names)]

        def read(place: str) -> tuple[tuple[Object, ...], tuple[str, ...]]:
            return kubectl.objects(kinds, namespace=place)

        mesh = pool.submit(_mesh_config, kubectl)
        parts = [pool.submit(read, place) for place in dict.fromkeys((namespace, ROOT))]
        parts.append(pool.submit(kubectl.objects, CLUSTER_KINDS))
        items = [one for part in parts for one in part.result()[0]]
        first = parts[0].result()
        if len(first[1]) == len(kinds):
            raise ForbiddenError(
                f"kubectl may list nothing in namespace {namespace} of context '{kubectl.context}'",
                mend=f"ask for the right to read it, and see `{kubectl.call} auth can-i --list -n {namespace}`",
            )
        for place in _further_places(kubectl, items, mesh.result(), {namespace, ROOT}):
            items += read(place)[0]
    return Snapshot(
        context=kubectl.context,
        server=server.result(),
        version=str(dig(version, "serverVersion", "gitVersion", default="")),
        apis=apis,
        namespace=namespace,
        items=tuple(items),
        mesh=mesh.result(),
        forbidden=tuple(dict.fromkeys(denied for part in parts for denied in part.result()[1])),
    )


def _server(kubectl: Kubectl) -> str:
    config = json.loads(kubectl.run("config", "view", "--minify", "-o", "json"))
    return str(dig(config, "clusters", 0, "cluster", "server", default=""))


def _mesh_config(kubectl: Kubectl) -> Object | None:
    """Of the default revision. A revision of another name keeps its own in `istio-<revision>`."""
    try:
        found, denied = kubectl.objects(["configmaps"], namespace=ROOT, selector="release=istio")
        if not found and not denied:
            # An installation by other means has no such label.
            found, _ = kubectl.objects(["configmaps"], namespace=ROOT)
    except (NotFoundError, UnknownKindError):
        return None
    named = [one for one in found if objects.name(one) == "istio" or objects.name(one).startswith("istio-")]
    texts = [text for one in named if (text := dig(one, "data", "mesh"))]
    if not texts:
        return None
    try:
        parsed = yaml.safe_load(texts[0])
    except yaml.YAMLError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _further_places(kubectl: Kubectl, items: Iterable[Object], mesh: Object | None, known: set[str]) -> tuple[str, ...]:
    """Namespaces beyond the known ones in which a gateway of the routes, or the tracing collector, lives."""
    places: dict[str, None] = {}
    running = [objects.labels(one) for one in items if one["kind"] == "Pod"]
    for one in items:
        if one["kind"] == "VirtualService":
            places.update(
                (str(ref).partition("/")[0], None)
                for ref in dig(one, "spec", "gateways", default=[])
                if "/" in str(ref)
            )
        if one["kind"] == "HTTPRoute":
            places.update(
                (str(ref["namespace"]), None)
                for ref in dig(one, "spec", "parentRefs", default=[])
                if "namespace" in ref
            )
        if one["kind"] == "Gateway" and objects.group(one) == ISTIO:
            selector = dig(one, "spec", "selector", default={})
            if selector and not any(objects.selects(selector, found) for found in running):
                pods, _ = kubectl.objects(
                    ["pods"],
                    everywhere=True,
                    selector=",".join(f"{label}={value}" for label, value in selector.items()),
                )
                places.update((objects.namespace(pod), None) for pod in pods)
    for provider in dig(mesh, "extensionProviders", default=[]):
        for settings in provider.values():
            parts = str(dig(settings, "service", default="")).rpartition("/")[2].split(".")
            if len(parts) > 2 and parts[2] == "svc":
                places[parts[1]] = None
    return tuple(place for place in places if place and place not in known)
