"""Ports: what Istio takes a Service port for, and traffic that is led past the sidecar."""

from __future__ import annotations

import re
from collections.abc import Iterator

from meshtrail.lint.bundle import Bundle
from meshtrail.lint.finding import Found, Level
from meshtrail.lint.objects import Object
from meshtrail.lint.ports import DATABASES, HTTP, TRACING, Port, ports, speaks_http
from meshtrail.lint.routes import evidence
from meshtrail.lint.rule import rule
from meshtrail.lint.workload import Workload

SIDE_PORTS = re.compile(r"metrics|prometheus|prom\b|admin|debug|pprof|health|jmx|monitoring|webhook", re.IGNORECASE)
"""Names of ports that are not the application's: that they make no spans is as it should be."""
EXCLUDE = "traffic.sidecar.istio.io/exclude{}Ports"


def _services(bundle: Bundle) -> Iterator[tuple[Object, list[Workload], Level]]:
    """The Services that have to do with a mesh: their pods, and how grave a fault of theirs is."""
    for named in bundle.own.services.values():
        for service in (one for same in named.values() for one in same):
            if service.get("spec", "type") == "ExternalName" or service.labels.get("istio"):
                continue
            pods = bundle.selected(service)
            membership = evidence(bundle, service)
            if membership != "out" and not any(one.is_gateway for one in pods):
                yield service, pods, "note" if membership == "unknown" else "warning"


def _targets(port: Port, pods: list[Workload]) -> set[int]:
    return {port.number, *(target for one in pods if (target := one.target_port(port.target)) is not None)}


@rule(
    "port-protocol",
    "A Service port declares no protocol",
    "warning",
    "note",
    why="""Istio takes the protocol of a port from `appProtocol` or from what stands before the first dash of its
    name. Of a port that says nothing it guesses: the caller's sidecar still makes a CLIENT span, the sidecar behind
    the port makes none (seen on Istio 1.29), so that the trace ends one hop too early.""",
    mend="Name the port `http`, `http-something`, `grpc-something`, or set `appProtocol`.",
    conditions="""A note where it is not known that the Service is in the mesh. Nothing for ports of databases,
    collectors, metrics and health, for UDP, and for gateways.""",
)
def port_protocol(bundle: Bundle) -> Iterator[Found]:
    for service, pods, level in _services(bundle):
        for port in ports(service):
            known = _targets(port, pods) & (DATABASES.keys() | TRACING)
            if port.protocol or known or SIDE_PORTS.search(port.name):
                continue
            said = service.get(*port.path, "appProtocol")
            shown = f"{port.number} {port.name!r}" if port.name else f"{port.number} without a name"
            what = f"appProtocol {said!r} is none that Istio knows" if said else "declares no protocol"
            wanted = "grpc" if "grpc" in port.name.lower() else "http"
            field = "appProtocol" if said else "name"
            yield Found(
                level,
                service,
                (*port.path, field),
                f"port {shown}: {what}, Istio guesses and the pods behind it make no SERVER spans",
                f"name it {wanted}-{port.name.lower()}" if port.name and not said else f"set appProtocol: {wanted}",
            )


@rule(
    "port-mismatch",
    "A port says another protocol than the one behind it",
    "warning",
    "note",
    why="""A port named `tcp-` is forwarded as bytes: no spans, no routes, no retries. A database behind a port
    named `http` is worse: the sidecar reads its protocol as HTTP and cuts the connection. A gRPC server behind
    `http` gets HTTP/1.1.""",
    mend="Name the port for what the container speaks.",
    conditions="""What the container speaks is known only by the number of a database's port, by an httpGet or grpc
    probe, or by the name of the container's port. A note where it is not known that the Service is in the mesh.""",
)
def port_mismatch(bundle: Bundle) -> Iterator[Found]:
    for service, pods, level in _services(bundle):
        for port in ports(service):
            targets = _targets(port, pods)
            database = next((DATABASES[number] for number in sorted(targets & DATABASES.keys())), "")
            path = (*port.path, port.said_by) if port.said_by in ("name", "appProtocol") else port.path
            if database and speaks_http(port.protocol):
                yield Found(
                    level,
                    service,
                    path,
                    f"port {port.number} is declared {port.protocol}, and the number is that of {database}",
                    f"name it tcp-{database.lower().replace(' ', '-')}, if that is what answers there",
                )
            elif port.protocol == "tcp" and not SIDE_PORTS.search(port.name) and not targets & TRACING:
                seen = _http_evidence(port, pods) or _grpc_evidence(port, pods)
                if seen:
                    yield Found(
                        level,
                        service,
                        path,
                        f"port {port.number} is declared tcp, and {seen}: no spans for it",
                        "name it http (grpc for gRPC), or set appProtocol",
                    )
            elif port.protocol in HTTP and (seen := _grpc_evidence(port, pods)):
                yield Found(
                    level,
                    service,
                    path,
                    f"port {port.number} is declared {port.protocol}, and {seen}: it would be sent HTTP/1.1",
                    "name it grpc, or set appProtocol: grpc",
                )


def _http_evidence(port: Port, pods: list[Workload]) -> str:
    for one in pods:
        number = one.target_port(port.target)
        name = one.port_name(number) if number is not None else ""
        if number is not None and name.partition("-")[0] in ("http", "http2", "grpc"):
            return f"the container's port {number} is named {name}"
        for container in one.containers:
            for _, url, probed in container.http_probes():
                if number is not None and one.target_port(probed) == number:
                    return f"a probe asks {url} there"
    return ""


def _grpc_evidence(port: Port, pods: list[Workload]) -> str:
    for one in pods:
        number = one.target_port(port.target)
        name = one.port_name(number) if number is not None else ""
        if name == "grpc" or name.startswith("grpc-"):
            return f"the container's port {number} is named {name}"
        for container in one.containers:
            for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
                if number is not None and one.object.get(*container.path, probe, "grpc", "port") == number:
                    return "a grpc probe asks there"
    return ""


@rule(
    "traffic-excluded",
    "Requests of the application are led past the sidecar",
    "warning",
    why="""`excludeInboundPorts` and `excludeOutboundPorts` keep connections away from the sidecar: no spans, and no
    headers put in. For deliveries to a collector that is right; for a port that other services call it takes a hop
    out of each trace.""",
    mend="Take the port out of the annotation.",
    conditions="""Not for ports of databases, collectors, metrics and health, nor for ports that no Service here
    declares as HTTP.""",
)
def traffic_excluded(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.workloads:
        if bundle.membership(one) == "out":
            continue
        for direction in ("Inbound", "Outbound"):
            name = EXCLUDE.format(direction)
            listed = {int(part) for part in one.annotations.get(name, "").split(",") if part.strip().isdigit()}
            behind = list(bundle.services_of(one))
            asked = behind if direction == "Inbound" else [*_others(bundle, one, behind)]
            for service in asked:
                for port in ports(service):
                    pods = bundle.selected(service)
                    # Outbound is the Service's own port, inbound the container's.
                    inbound = {target for pod in pods if (target := pod.target_port(port.target)) is not None}
                    numbers = inbound if direction == "Inbound" else {port.number}
                    hit = sorted((numbers & listed) - TRACING - DATABASES.keys())
                    if hit and speaks_http(port.protocol) and not SIDE_PORTS.search(port.name):
                        yield Found(
                            "warning",
                            one.object,
                            (*one.template, "metadata", "annotations", name),
                            f"port {hit[0]} is led past the sidecar, and {service.title} has requests for it: no spans",
                            f"take {hit[0]} out of {name}",
                        )


def _others(bundle: Bundle, one: Workload, behind: list[Object]) -> Iterator[Object]:
    """The Services of its namespace that it may call: those that are not its own, and are in the mesh."""
    for named in bundle.own.services.get(one.object.namespace, {}).values():
        for service in named:
            if service not in behind and bundle.service_membership(service) == "sidecar":
                yield service
