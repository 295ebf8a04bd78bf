"""Routes that lead nowhere, and headers that are removed for nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from meshtrail.lint.bundle import SYSTEM, Bundle, selects
from meshtrail.lint.finding import Found
from meshtrail.lint.objects import Object, Path, dig, sequence, strings, text, whole
from meshtrail.lint.ports import ports
from meshtrail.lint.routes import DOMAIN, Destination, at_gateway, destinations, service_name, short_for
from meshtrail.lint.rule import error, rule, warning
from meshtrail.manifests.document import List, Map

TRACING_HEADERS = frozenset(
    {
        "x-request-id",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "x-b3-flags",
        "b3",
        "traceparent",
        "tracestate",
        "x-ot-span-context",
        "grpc-trace-bin",
        "x-cloud-trace-context",
    }
)


@rule(
    "route-host",
    "A route leads to a host or port that nobody has",
    "error",
    "warning",
    why="""Istio accepts it and answers 503 for these requests, which look in the trace like a service that fails. A
    host with a dot is taken as it is: `reviews.shop` is not completed to a Service's whole name.""",
    mend="Name a Service of the namespace, or its whole name, and one of its ports.",
    conditions="""Services of the namespace have to be in the manifests; a warning where they are in another part of
    what is read. A ServiceEntry counts. In istio-system, where several installations meet, only what looks
    misspelt. Hosts outside the cluster are not looked at.""",
)
def route_host(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.of("VirtualService", "istio.io"):
        for destination in destinations(one):
            yield from _host(bundle, one, (*destination.path, "host"), destination.host)
            yield from _port(bundle, destination)
        if not at_gateway(one):
            for index, host in enumerate(sequence(one.get("spec", "hosts"))):
                yield from _host(bundle, one, ("spec", "hosts", index), text(host))
    for kind in ("HTTPRoute", "GRPCRoute"):
        for one in bundle.of(kind, "gateway.networking.k8s.io"):
            for rule_path, entry in one.items("spec", "rules"):
                for index, ref in enumerate(sequence(entry.get("backendRefs"))):
                    yield from _backend(bundle, one, (*rule_path, "backendRefs", index), ref)


def _host(bundle: Bundle, one: Object, path: Path, host: str) -> Iterator[Found]:
    if not host or "*" in host or bundle.has_entry(host):
        return
    found = service_name(host, one.namespace)
    if found is None:
        short = short_for(host)
        if short is not None and bundle.service(*short):
            text = f"Istio takes {host!r} as it is and completes it to no Service"
            yield error(one, path, text, f"write {short[0]}.{short[1]}{DOMAIN}")
        return
    yield from _missing(bundle, one, path, *found)


def _missing(bundle: Bundle, one: Object, path: Path, name: str, namespace: str) -> Iterator[Found]:
    known = bundle.knows_services(namespace)
    if known and not bundle.service(name, namespace) and not bundle.has_entry(f"{name}.{namespace}{DOMAIN}"):
        close = difflib.get_close_matches(name, known, n=1)
        if namespace in SYSTEM and not close:
            return
        found = error if namespace in bundle.own.services else warning
        where = f" in namespace {namespace}" if namespace else ""
        mend = f"did you mean {close[0]!r}?" if close else f"name one of {', '.join(sorted(known)[:6])}"
        yield found(one, path, f"no Service {name!r}{where}", mend)


def _port(bundle: Bundle, destination: Destination) -> Iterator[Found]:
    found = service_name(destination.host, destination.object.namespace)
    services = bundle.service(*found) if found else []
    numbers = {whole(port.get("port")) for service in services for _, port in service.items("spec", "ports")}
    if services and numbers and destination.port is not None and destination.port not in numbers:
        have = ", ".join(str(number) for number in sorted(number for number in numbers if number is not None))
        path = (*destination.path, "port", "number")
        yield error(destination.object, path, f"{services[0].title} has no port {destination.port}", f"use {have}")


def _backend(bundle: Bundle, one: Object, path: Path, ref: object) -> Iterator[Found]:
    if not isinstance(ref, Map) or ref.get("kind", "Service") != "Service" or ref.get("group", "") != "":
        return
    name, namespace = text(ref.get("name")), text(ref.get("namespace")) or one.namespace
    if name:
        yield from _missing(bundle, one, (*path, "name"), name, namespace)
    port, services = whole(ref.get("port")), bundle.service(name, namespace)
    numbers = {found.number for service in services for found in ports(service)}
    if numbers and port is not None and port not in numbers:
        yield error(one, (*path, "port"), f"{services[0].title} has no port {port}", f"use {min(numbers)}")


@rule(
    "route-subset",
    "A route leads to a subset that nobody defines, or that has no pods",
    "error",
    "warning",
    why="""A subset is defined in a DestinationRule for the same host. Without it every request to it is answered
    503. A subset whose labels no pod has does the same.""",
    mend="Add the subset to the DestinationRule, or deploy pods with its labels.",
    conditions="""The Service, and for the second the pods behind it, have to be in the manifests. A route of weight
    0 may wait for its pods.""",
)
def route_subset(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.of("VirtualService", "istio.io"):
        for destination in destinations(one):
            named = service_name(destination.host, one.namespace)
            if not destination.subset or named is None:
                continue
            rules = [
                rule
                for rule in bundle.all.of("DestinationRule", "istio.io")
                if service_name(text(rule.get("spec", "host")), rule.namespace) == named
            ]
            subsets = {text(entry.get("name")): entry for rule in rules for _, entry in rule.items("spec", "subsets")}
            service = next(iter(bundle.own.services.get(named[1], {}).get(named[0], [])), None)
            path = (*destination.path, "subset")
            if destination.subset not in subsets:
                if rules or service is not None:
                    mend = f"use one of {', '.join(sorted(subsets))}" if subsets else "add a DestinationRule with it"
                    text_ = f"no DestinationRule for {destination.host} has a subset {destination.subset!r}"
                    yield error(one, path, text_, mend)
                continue
            labels = strings(subsets[destination.subset].get("labels"))
            pods = bundle.selected(service) if service is not None else []
            if pods and labels and not destination.idle and not any(selects(labels, pod.labels) for pod in pods):
                shown = ", ".join(f"{key}={value}" for key, value in labels.items())
                text_ = f"no pod behind {destination.host} has the labels of subset {destination.subset!r} ({shown})"
                yield warning(one, path, text_, "deploy it, or route to a version that is there")


@rule(
    "header-removal",
    "Tracing headers are removed from requests",
    "warning",
    why="""Often given as a recipe to keep requests out of traces. It excludes nothing: the proxy decides before and
    puts its own headers in after routing (measured with Envoy 1.40). Without x-request-id the decision about
    sampling is lost on the way.""",
    mend="""Set sampling to 0 for the route with an EnvoyFilter (`applyTo: HTTP_ROUTE`, `operation: MERGE`, `value:
    {tracing: {overall_sampling: {numerator: 0}, random_sampling: {numerator: 0}, client_sampling: {numerator:
    0}}}`), as `istio/mesh/health-checks.yaml` does.""",
)
def header_removal(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.own.objects:
        if one.kind in ("VirtualService", "HTTPRoute", "GRPCRoute", "EnvoyFilter"):
            for path, names in _removals(one.raw, ()):
                hit = [name for name in (text(item) for item in names) if name.lower() in TRACING_HEADERS]
                if [name.lower() for name in hit] == ["x-request-id"]:
                    text_ = "the decision about sampling goes with x-request-id: below 100 % traces are cut here"
                    yield warning(one, path, text_, "leave x-request-id alone")
                elif hit:
                    text_ = f"removing {', '.join(hit)} keeps nothing out of the traces: the proxy puts new ones in"
                    mend = "set sampling to 0 for the route with an EnvoyFilter, see docs"
                    yield warning(one, path, text_, mend)


def _removals(value: object, path: Path) -> Iterator[tuple[Path, List]]:
    """Lists of request headers to remove, wherever they are: `headers.request.remove` and its like."""
    if isinstance(value, Map):
        for key, item in value.items():
            here = (*path, key)
            if isinstance(item, List) and (
                (key == "remove" and path[-1:] in (("request",), ("requestHeaderModifier",)))
                or key in ("request_headers_to_remove", "requestHeadersToRemove")
            ):
                yield here, item
            else:
                yield from _removals(item, here)
    elif isinstance(value, List):
        for index, item in enumerate(value):
            yield from _removals(item, (*path, index))


def excluded_routes(bundle: Bundle) -> set[str]:
    """The names of routes for which an EnvoyFilter of the run sets sampling to 0; "" for one without a name."""
    found = set()
    for one in bundle.all.of("EnvoyFilter", "istio.io"):
        for _, patch in one.items("spec", "configPatches"):
            tracing = dig(patch, ("patch", "value", "tracing"))
            settings = [dig(tracing, (name, "numerator")) for name in ("overall_sampling", "overallSampling")]
            if isinstance(tracing, Map) and any(setting == 0 for setting in settings):
                name = dig(patch, ("match", "routeConfiguration", "vhost", "route", "name"))
                found.add(text(name))
    return found
