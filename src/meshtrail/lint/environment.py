"""A container's variables, those from ConfigMaps included, and the addresses among them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from meshtrail.lint.bundle import Bundle
from meshtrail.lint.objects import Object, Path, dig, sequence, text
from meshtrail.lint.workload import Container, Workload

_ADDRESS = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>[^/:\s]+)(?::(?P<port>\d+))?(?P<path>/\S*)?\Z", re.I
)
_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """Its value, and where that stands: in the workload or in a ConfigMap."""

    name: str
    value: str
    object: Object
    path: Path


@dataclass(frozen=True, slots=True)
class Address:
    scheme: str
    host: str
    port: int | None
    path: str


def variables(bundle: Bundle, one: Workload, container: Container) -> dict[str, Variable]:
    """Those whose value is in the manifests, `$(OTHER)` filled in where that is known."""
    found: dict[str, Variable] = {}
    for entry in sequence(container.raw.get("envFrom")):
        name, prefix = text(dig(entry, ("configMapRef", "name"))), text(dig(entry, ("prefix",)))
        for config in _config_maps(bundle, name, one.object.namespace):
            data = config.get("data")
            for key, value in data.items() if isinstance(data, dict) else ():
                found[prefix + key] = Variable(prefix + key, str(value), config, ("data", key))
    for entry in sequence(container.raw.get("env")):
        name, key = text(dig(entry, ("name",))), text(dig(entry, ("valueFrom", "configMapKeyRef", "key")))
        if not key:
            if dig(entry, ("valueFrom",)) is not None:
                found.pop(name, None)  # From a Secret or the pod: nobody can tell.
            continue
        for config in _config_maps(
            bundle, text(dig(entry, ("valueFrom", "configMapKeyRef", "name"))), one.object.namespace
        ):
            value = config.get("data", key)
            if value is not None:
                found[name] = Variable(name, str(value), config, ("data", key))
                break
        else:
            # Known to be set, to something unknown: it hides one of the same name from envFrom.
            found.pop(name, None)
    for name, (value, path) in container.environment().items():
        found[name] = Variable(name, value, one.object, path)
    return {name: _expanded(variable, found) for name, variable in found.items()}


def _config_maps(bundle: Bundle, name: str, namespace: str) -> list[Object]:
    return [one for one in bundle.of("ConfigMap") if name and one.name == name and one.namespace == namespace]


def _expanded(one: Variable, known: dict[str, Variable]) -> Variable:
    if "$(" not in one.value:
        return one
    value = _REFERENCE.sub(lambda hit: known[hit[1]].value if hit[1] in known else hit[0], one.value)
    return Variable(one.name, value, one.object, one.path)


def address(value: str) -> Address | None:
    """`scheme://host:port/path`, its parts; None for what is none, or not all known."""
    hit = _ADDRESS.match(value.strip()) if "$" not in value and "{" not in value else None
    if hit is None:
        return None
    port = int(hit["port"]) if hit["port"] else None
    return Address((hit["scheme"] or "").lower(), hit["host"].lower().rstrip("."), port, hit["path"] or "")


def service_of(host: str, namespace: str) -> tuple[str, str] | None:
    """Name and namespace of the Service that a pod means by a host, as its resolv.conf has it; None for none."""
    parts = host.split(".")
    if len(parts) == 1:
        return parts[0], namespace
    if len(parts) == 2 or parts[2] == "svc":
        return parts[0], parts[1]
    return None
