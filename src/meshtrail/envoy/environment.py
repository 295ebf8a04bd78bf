"""The environment that a service's process gets: the manifest's, with the names of services turned into addresses."""

from __future__ import annotations

from collections.abc import Mapping

from meshtrail.envoy.places import Addresses, Endpoint, Pod, targets
from meshtrail.mesh import Mesh, Reference, Workload
from meshtrail.mesh.environment import DOMAIN, pair_of, resolve

LOOPBACK = "127.0.0.1"
CONTROL_PORT = 8090
"""The container port of the propagation switch, which never goes through a sidecar."""


def environment(mesh: Mesh, pod: Pod, addresses: Addresses) -> dict[str, str]:
    """The process's variables: the container's own, services re-pointed, and where it has to listen."""
    workload = mesh.workloads[pod.workload_key]
    values, _ = resolve(workload.deployment, pod.name, mesh.config_maps)
    values["HOSTNAME"] = pod.name
    values["HOST"] = LOOPBACK
    values |= _whole_hosts(values)
    for reference in workload.references:
        endpoint = _target(mesh, workload, pod, reference, addresses)
        if endpoint is None:
            continue
        if reference.port_variable:
            values |= {reference.variable: endpoint.host, reference.port_variable: str(endpoint.port)}
        else:
            values[reference.variable] = f"{reference.prefix}{endpoint}{reference.suffix}"
    served = [port for port in workload.ports if port != CONTROL_PORT]
    if served:
        values |= _listening("", addresses.app[(pod.name, served[0])])
    if CONTROL_PORT in workload.ports:
        values |= _listening("CONTROL_", addresses.app[(pod.name, CONTROL_PORT)])
    return values


def _whole_hosts(values: Mapping[str, str]) -> dict[str, str]:
    """What comes behind the hosts of all pairs is written into each, because an address has nothing behind it."""
    if not values.get(DOMAIN):
        return {}
    pairs = {variable: pair[0] for variable in values if (pair := pair_of(variable, values))}
    return {**pairs, DOMAIN: ""} if pairs else {}


def _listening(prefix: str, endpoint: Endpoint) -> dict[str, str]:
    return {f"{prefix}HOST": endpoint.listen_host, f"{prefix}PORT": str(endpoint.port)}


def _target(mesh: Mesh, workload: Workload, pod: Pod, reference: Reference, addresses: Addresses) -> Endpoint | None:
    if workload.through_sidecar(reference):
        return addresses.outbound[(pod.name, reference.fqdn, reference.port)]
    service = mesh.services[reference.fqdn]
    port = service.port(reference.port)
    if port is None or service.external:
        return None
    # Without a sidecar nothing balances: the first pod takes all, as one keep-alive connection does on a cluster.
    return next(iter(targets(mesh, addresses, service, port)), None)
