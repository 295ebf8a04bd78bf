"""Services of the application: ports that a sidecar takes for HTTP, and headers that are forwarded."""

from __future__ import annotations

from meshtrail.cluster import objects
from meshtrail.cluster.application import containers, template_labels, workloads
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.preflight.findings import Finding, fail, listed, ok, warn
from meshtrail.cluster.snapshot import Snapshot
from meshtrail.mesh.names import protocol

OTHER_PROTOCOLS = frozenset({"tcp", "tls", "https", "mongo", "mysql", "redis", "udp", "postgres"})


def port_names(snapshot: Snapshot) -> list[Finding]:
    """A port that serves HTTP is named so: only then does the sidecar make spans for it.

    That a port serves HTTP is known from the container's own httpGet probe on it. A name that says another protocol
    is obeyed; with a name that says nothing Istio guesses, and a guess may fail.
    """
    place, named, wrong, guessed = snapshot.namespace, 0, [], []
    for service in snapshot.of("Service", place):
        selector = dig(service, "spec", "selector", default={})
        behind = [one for one in workloads(snapshot) if objects.selects(selector, template_labels(one))]
        for position, entry in enumerate(dig(service, "spec", "ports", default=[])):
            if not any(_answers_http(one, entry) for one in behind):
                continue
            port_name, app_protocol = str(entry.get("name", "")), str(entry.get("appProtocol", ""))
            if protocol(port_name, app_protocol) != "tcp":
                named += 1
                continue
            patch = (
                f"kubectl -n {place} patch service {objects.name(service)} --type=json -p "
                f'\'[{{"op": "add", "path": "/spec/ports/{position}/name", "value": "http"}}]\''
            )
            seen = f"Service {objects.name(service)}: port {entry['port']} serves HTTP and is "
            if app_protocol or port_name.split("-")[0].lower() in OTHER_PROTOCOLS:
                said = f"appProtocol {app_protocol}" if app_protocol else f"named '{port_name}'"
                wrong.append(fail("ports", f"{seen}{said}: the sidecar makes no spans for it", patch))
            else:
                said = f"named '{port_name}'" if port_name else "has no name"
                seen = seen if port_name else seen.removesuffix("is ")
                guessed.append(warn("ports", f"{seen}{said}: Istio has to guess its protocol", patch))
    findings = [*wrong, *guessed]
    if named and not findings:
        findings.append(ok("ports", f"{named} ports that serve HTTP are named so"))
    return findings


def _answers_http(workload: Object, entry: Object) -> bool:
    """Whether the Service's port leads to a container port that the workload's own probes ask by HTTP."""
    target = entry.get("targetPort", entry.get("port"))
    for container in containers(workload):
        probes = [container.get(kind) for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
        asked = {dig(probe, "httpGet", "port") for probe in probes} - {None}
        numbers = {port.get("name"): port.get("containerPort") for port in container.get("ports") or []}
        if {numbers.get(port, port) for port in asked} & {numbers.get(target, target)}:
            return True
    return False


def propagation(snapshot: Snapshot) -> list[Finding]:
    """Services that by their manifest forward fewer headers than all: the trace breaks there, or in one format."""
    findings, seen = [], 0
    for workload in workloads(snapshot):
        for container in containers(workload):
            mode = objects.environment(container).get("PROPAGATION")
            if mode is None:
                continue
            seen += 1
            name = objects.name(workload)
            mend = f"kubectl -n {snapshot.namespace} set env deployment/{name} PROPAGATION=all"
            if mode == "none":
                findings.append(
                    warn("propagation", f"{name} has PROPAGATION=none: every trace breaks there, on purpose", mend)
                )
            elif mode in ("b3", "w3c"):
                other = "W3C (OTLP) provider" if mode == "b3" else "B3 (Zipkin) provider"
                findings.append(
                    warn("propagation", f"{name} has PROPAGATION={mode}: its traces break with a {other}", mend)
                )
    if seen and not findings:
        findings.append(ok("propagation", "every service forwards all tracing headers, by its manifest"))
    return findings


def endpoints(snapshot: Snapshot) -> list[Finding]:
    """Each Service that selects pods has some that are ready: a wrong selector shows here."""
    without = [
        objects.name(one)
        for one in snapshot.of("Service", snapshot.namespace)
        if dig(one, "spec", "selector") and not snapshot.ready_endpoints(one)
    ]
    if not without or "endpointslices.discovery.k8s.io" in snapshot.forbidden:
        return []
    mend = f"kubectl -n {snapshot.namespace} describe service {without[0]}: does its selector match ready pods?"
    return [fail("services", f"no ready pod behind {listed(without)}", mend)]
