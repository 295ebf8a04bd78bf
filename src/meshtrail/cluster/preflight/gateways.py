"""The way in: a gateway that exists and runs, and routes on it that lead to Services which exist."""

from __future__ import annotations

from meshtrail.cluster import objects
from meshtrail.cluster.application import deployed
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.preflight.findings import Finding, fail, listed, ok, warn
from meshtrail.cluster.routes import (
    Route,
    entrances,
    gateway_of,
    gateway_pods,
    gateway_services,
    http_ports,
    routes,
    service_port,
)
from meshtrail.cluster.snapshot import ISTIO, ROOT, Snapshot

INSTALL = "istioctl install -f istio/install/demo.yaml brings one"
INGRESS = {"istio": "ingressgateway"}


def gateway(snapshot: Snapshot) -> list[Finding]:
    """A route of the namespace hangs on a gateway whose proxy runs and has a port for it."""
    known = [route for route in routes(snapshot) if route.gateways]
    if not known:
        app = deployed(snapshot)
        return [
            fail(
                "gateway",
                f"no route of namespace {snapshot.namespace} hangs on a gateway: no way in",
                f"kubectl apply -k {app.overlay} brings them (istio/{app.name})",
            )
        ]
    findings = [
        finding
        for route in known
        for reference in route.gateways
        if (finding := _hangs(snapshot, route, reference)) is not None
    ]
    for way in entrances(snapshot):
        seen = (
            f"{objects.title(way.route.object)} on {objects.title(way.gateway)}, carried out by "
            f"{objects.key(way.service)}:{way.port}"
        )
        findings.append(ok("gateway", seen + (f", Host {way.host}" if way.host else "")))
        break
    return list(dict.fromkeys(findings))


def _hangs(snapshot: Snapshot, route: Route, reference: tuple[str, str]) -> Finding | None:
    """What is wrong with one reference to a gateway; None when nothing is."""
    title = objects.title(route.object)
    found = gateway_of(snapshot, route, reference)
    named = "/".join(reference)
    if found is None:
        have = listed([objects.key(one) for one in snapshot.of("Gateway", group=route.api)]) or "none"
        return fail("gateway", f"{title} names Gateway {named}, which does not exist", f"there are: {have}")
    pods = gateway_pods(snapshot, found)
    if not pods:
        selector = dig(found, "spec", "selector", default={})
        wanted = ",".join(f"{label}={value}" for label, value in selector.items())
        if route.api == ISTIO:
            return fail("gateway", f"Gateway {named} selects {wanted}, and no pod has these labels", INSTALL)
        reason: Object = next(
            (one for one in dig(found, "status", "conditions", default=[]) if one.get("status") == "False"), {}
        )
        said = f": {reason.get('message')}" if reason.get("message") else ""
        mend = (
            f"kubectl -n {reference[0]} describe gateway.gateway.networking.k8s.io {reference[1]}; its class is "
            f"{dig(found, 'spec', 'gatewayClassName')}"
        )
        return fail("gateway", f"Gateway {named} has no proxy{said}", mend)
    services = gateway_services(snapshot, found)
    if not services:
        return fail("gateway", f"no Service leads to the proxy of Gateway {named}", INSTALL)
    if not any(snapshot.ready_endpoints(one) for one in services):
        home = objects.namespace(services[0])
        return fail(
            "gateway",
            f"no ready pod behind {objects.key(services[0])}",
            f"kubectl -n {home} describe pods {objects.name(pods[0])}",
        )
    ports = http_ports(found)
    if not ports:
        return warn(
            "gateway", f"Gateway {named} takes no plain HTTP", "name its address: meshtrail load --url https://..."
        )
    if not any(service_port(service, port) for service in services for port in ports):
        return fail(
            "gateway",
            f"Gateway {named} listens on {', '.join(map(str, ports))}, which {objects.key(services[0])} does not have",
            "take a port of that Service, e.g. 80",
        )
    return None


def destinations(snapshot: Snapshot) -> list[Finding]:
    """Each Service and port that a route names exists."""
    findings, counted = [], 0
    for route in routes(snapshot):
        for target in route.destinations:
            title = objects.title(route.object)
            edit = f"kubectl -n {snapshot.namespace} edit {_resource(route.object)} {objects.name(route.object)}"
            service = snapshot.find("Service", target.namespace, target.name)
            counted += 1
            if service is None:
                if target.namespace in (snapshot.namespace, ROOT):
                    have = listed([objects.name(one) for one in snapshot.of("Service", target.namespace)], 8) or "none"
                    seen = f"{title} leads to Service {target.namespace}/{target.name}, which does not exist"
                    findings.append(fail("routes", seen, f"{edit}; there are: {have}"))
                continue
            ports = [one["port"] for one in dig(service, "spec", "ports", default=[])]
            if target.port is not None and target.port not in ports:
                seen = (
                    f"{title} leads to port {target.port} of {target.namespace}/{target.name}, which it does not have"
                )
                findings.append(fail("routes", seen, f"{edit}; there are: {', '.join(map(str, ports))}"))
    if counted and not findings:
        findings.append(ok("routes", f"{len(routes(snapshot))} routes lead to Services that exist"))
    return findings


def ingress(snapshot: Snapshot) -> list[Finding]:
    """Before the application is deployed: there is a gateway for its routes to hang on."""
    pods = snapshot.selected("Pod", None, INGRESS)
    if pods:
        return [ok("gateway", f"ingress gateway {objects.key(pods[0])}")]
    if "gateway.networking.k8s.io" in snapshot.apis:
        return [ok("gateway", "no ingress gateway; the cluster knows the Gateway API, with which Istio makes one")]
    return [warn("gateway", f"no pod labelled istio=ingressgateway in {ROOT}", INSTALL)]


def _resource(one: Object) -> str:
    return f"{str(one['kind']).lower()}.{objects.group(one)}"
