"""A container's environment: values from ConfigMaps, Secrets and the pod itself, and the services that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from meshtrail.errors import Problem
from meshtrail.manifests import kinds
from meshtrail.mesh import names
from meshtrail.mesh.model import MeshService, Reference

ConfigMaps = Mapping[tuple[str, str, str], kinds.ConfigMap]
"""ConfigMaps and Secrets by (kind, namespace, name)."""

ADDRESS = re.compile(
    r"""
    (?P<prefix>(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/@\s]*@)?)?)
    (?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.?)
    (?::(?P<port>\d{1,5}))?
    (?P<suffix>(?:[/?\#].*)?)
    """,
    re.VERBOSE | re.DOTALL,
)
# A host and its port in two variables, and what comes behind the hosts of all such pairs: Bookinfo's convention.
HOST_SUFFIX, PORT_SUFFIX, DOMAIN = "_HOSTNAME", "_SERVICE_PORT", "SERVICES_DOMAIN"
EXPANSION = re.compile(r"\$(\$|\((?P<name>[A-Za-z_][A-Za-z0-9_.-]*)\))")
LABEL_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A variable that cannot be filled: which one, why, and what mends it."""

    variable: str
    message: str
    mend: str


def resolve(deployment: kinds.Deployment, pod: str, maps: ConfigMaps) -> tuple[dict[str, str], list[Unresolved]]:
    """The environment of the first container as kubelet would set it for the pod named `pod`.

    Variables that cannot be filled are left out and returned beside it.
    """
    values: dict[str, str] = {}
    missing: list[Unresolved] = []
    container = deployment.containers[0]
    namespace = deployment.meta.namespace
    for source in container.env_from:
        found = maps.get((source.kind, namespace, source.name))
        if found is not None:
            values.update({source.prefix + name: value for name, value in found.data.items()})
        elif not source.optional:
            missing.append(_missing("envFrom", source.kind, namespace, source.name))
    for variable in container.env:
        if variable.key_ref is not None:
            ref = variable.key_ref
            found = maps.get((ref.kind, namespace, ref.name))
            if found is not None and ref.key in found.data:
                values[variable.name] = found.data[ref.key]
            elif not ref.optional:
                missing.append(_missing(variable.name, ref.kind, namespace, ref.name, ref.key))
        elif variable.field_path is not None:
            value = pod_field(deployment, pod, variable.field_path)
            if value is None:
                message = f"the field {variable.field_path!r} has no value on a laptop"
                missing.append(Unresolved(variable.name, message, "use metadata.name, metadata.namespace or a label"))
            else:
                values[variable.name] = value
        else:
            values[variable.name] = expand(variable.value or "", values)
    return values, missing


def _missing(variable: str, kind: str, namespace: str, name: str, key: str = "") -> Unresolved:
    what = f"key {key!r} of {kind} {namespace}/{name}" if key else f"{kind} {namespace}/{name}"
    return Unresolved(variable, f"{what} does not exist", "add it, or mark the reference optional")


def expand(value: str, values: Mapping[str, str]) -> str:
    """Kubernetes' `$(NAME)`: variables set before; `$$` is a dollar; an unknown name stays as written."""

    def replace(match: re.Match[str]) -> str:
        name = match.group("name")
        return "$" if name is None else values.get(name, match.group(0))

    return EXPANSION.sub(replace, value)


def pod_field(deployment: kinds.Deployment, pod: str, path: str) -> str | None:
    """The downward API: what `path` is for that pod; None when a laptop has no such thing."""
    match = LABEL_FIELD.fullmatch(path)
    if match:
        source = deployment.labels if match.group(1) == "labels" else deployment.annotations
        return source.get(match.group(2), "")
    return {
        "metadata.name": pod,
        "metadata.namespace": deployment.meta.namespace,
        "metadata.uid": pod,
        "spec.serviceAccountName": deployment.service_account,
        "spec.nodeName": "localhost",
        "status.podIP": "127.0.0.1",
        "status.podIPs": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }.get(path)


def references(
    values: Mapping[str, str], namespace: str, services: Mapping[str, MeshService]
) -> tuple[list[Reference], list[Unresolved]]:
    """The services that `values` name: a URL, `host:port`, or a pair of variables `X_HOSTNAME` and `X_SERVICE_PORT`.

    A bare word is never taken for a host elsewhere.
    """
    found: list[Reference] = []
    problems: list[Unresolved] = []
    for variable, value in values.items():
        if (pair := pair_of(variable, values)) is not None:
            host, port_variable = pair
            service = _lookup(host, namespace, services)
            number = values[port_variable]
            if service is None:
                continue
            if service.port(int(number)) is None:
                problems.append(_no_port(port_variable, number, int(number), service))
                continue
            authority = f"{host}:{number}"
            found.append(Reference(variable, "", authority, "", service.fqdn, int(number), port_variable))
            continue
        match = ADDRESS.fullmatch(value.strip())
        if match is None or not (match["scheme"] or match["port"]):
            continue
        host, scheme = match["host"], (match["scheme"] or "").lower()
        service = _lookup(host, namespace, services)
        if service is None or (service.external and scheme == "https"):
            # An https address outside the mesh stays as it is: the certificate is for that name.
            continue
        port = int(match["port"]) if match["port"] else names.DEFAULT_PORTS.get(scheme.split("+")[0])
        if port is None:
            problems.append(
                Unresolved(variable, f"{value!r} names {service.fqdn} without a port", f"write {host}:<port>")
            )
            continue
        if service.port(port) is None:
            problems.append(_no_port(variable, value, port, service))
            continue
        authority = f"{host}:{match['port']}" if match["port"] else host
        found.append(Reference(variable, match["prefix"], authority, match["suffix"], service.fqdn, port))
    return found, problems


def pair_of(variable: str, values: Mapping[str, str]) -> tuple[str, str] | None:
    """The host that `X_HOSTNAME` means, with what comes behind all of them, and the name of its port's variable."""
    name = variable.removesuffix(HOST_SUFFIX)
    port_variable = name + PORT_SUFFIX
    number = values.get(port_variable, "")
    # A port that is none is for the service to refuse.
    if name in ("", variable) or not values[variable] or not (number.isascii() and number.isdigit()) or len(number) > 5:
        return None
    domain = values.get(DOMAIN, "")
    return (f"{values[variable]}.{domain}" if domain else values[variable]), port_variable


def _no_port(variable: str, value: str, port: int, service: MeshService) -> Unresolved:
    known = ", ".join(str(entry.number) for entry in service.ports)
    message = f"{value!r} names port {port}, and Service {service.namespace}/{service.name} has {known}"
    return Unresolved(variable, message, "name a port of the Service, or add this one to it")


def _lookup(host: str, namespace: str, services: Mapping[str, MeshService]) -> MeshService | None:
    return next((services[name] for name in names.dns_candidates(host, namespace) if name in services), None)


def unresolved_problems(deployment: kinds.Deployment, unresolved: Iterable[Unresolved]) -> list[Problem]:
    meta = deployment.meta
    field = "spec.template.spec.containers[0]"
    return [
        Problem(
            item.message,
            file=meta.file,
            line=meta.line,
            object=meta.ref,
            field=f"{field}.envFrom" if item.variable == "envFrom" else f"{field}.env[{item.variable}]",
            mend=item.mend,
        )
        for item in unresolved
    ]
