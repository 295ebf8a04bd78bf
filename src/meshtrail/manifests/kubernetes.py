"""Namespace, Service, Deployment, ConfigMap and Secret."""

from __future__ import annotations

import base64
import binascii
import re

from meshtrail.manifests import kinds
from meshtrail.manifests.reader import Fields, Value, message

# ------------------------------------------------------------------------------------------------ messages

OBJECT = "apiVersion kind metadata"
_SYSTEM_META = (
    "creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName generation managedFields "
    "ownerReferences resourceVersion selfLink uid"
)

META = message("metadata", "name namespace labels annotations", inert=_SYSTEM_META)
NAMESPACE = message("Namespace", OBJECT, inert="spec status")
SERVICE = message("Service", f"{OBJECT} spec", inert="status")
SERVICE_SPEC = message(
    "Service.spec",
    "selector ports type clusterIP sessionAffinity",
    inert="clusterIPs internalTrafficPolicy externalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass "
    "loadBalancerIP loadBalancerSourceRanges allocateLoadBalancerNodePorts healthCheckNodePort "
    "publishNotReadyAddresses trafficDistribution sessionAffinityConfig externalIPs",
    refused={"externalName": "describe the outside host with a ServiceEntry"},
)
SERVICE_PORT = message("Service.spec.ports[]", "name port targetPort appProtocol protocol", inert="nodePort")
CONFIG_MAP = message("ConfigMap", f"{OBJECT} data", inert="immutable", refused={"binaryData": "use data"})
SECRET = message("Secret", f"{OBJECT} data stringData", inert="immutable type")

# ------------------------------------------------------------------------------------------------- readers

_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\Z", re.ASCII)
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z", re.ASCII)


def namespace(top: Fields, meta: kinds.Meta) -> kinds.Namespace:
    return kinds.Namespace(meta)


def service(top: Fields, meta: kinds.Meta) -> kinds.Service:
    spec = top.fields("spec", SERVICE_SPEC, required=True)
    if spec is None:
        return kinds.Service(meta, {}, ())
    if spec.text("type", choices=("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")) == "ExternalName":
        spec.not_carried_out("type", "describe the outside host with a ServiceEntry", "type ExternalName")
    if spec.text("clusterIP") == "None":
        spec.not_carried_out("clusterIP", "give the service a cluster address: remove clusterIP", "a headless service")
    if spec.text("sessionAffinity", choices=("None", "ClientIP")) == "ClientIP":
        spec.not_carried_out(
            "sessionAffinity", "use a DestinationRule with loadBalancer.consistentHash", "sessionAffinity ClientIP"
        )
    ports = []
    for item in spec.all_fields("ports", SERVICE_PORT, required=True):
        number = item.integer("port", 1, 65535, required=True)
        protocol = item.text("protocol", "TCP", choices=("TCP", "UDP", "SCTP"))
        if protocol != "TCP":
            item.not_carried_out("protocol", "", f"protocol {protocol}")
            continue
        target = item.get("targetPort")
        ports.append(
            kinds.ServicePort(
                name=port_name(item.get("name"), limit=63),
                port=number,
                target_port=port_reference(target) if target else number,
                app_protocol=item.text("appProtocol"),
            )
        )
    names = [port.name for port in ports]
    if len(ports) > 1 and "" in names:
        spec.error("every port needs a name when there is more than one", "ports")
    for what, values in (("name", [name for name in names if name]), ("number", [port.port for port in ports])):
        for value in sorted({str(value) for value in values if values.count(value) > 1}):  # type: ignore[arg-type]
            spec.error(f"port {what} {value} is used twice", "ports")
    return kinds.Service(meta, spec.labels("selector"), tuple(ports))


def port_name(value: Value | None, limit: int = 15) -> str:
    if value is None:
        return ""
    name = value.text()
    if name and (len(name) > limit or not _PORT_NAME.match(name)):
        value.error(f"{name[:60]!r} is not a port name: at most {limit} of a-z, 0-9 and '-', one letter at least")
    return name


def port_reference(value: Value) -> int | str:
    """A port number or the name of a container port."""
    if isinstance(value.raw, str):
        return port_name(value)
    return value.integer(1, 65535, default=1)


def read_labels(meta: Fields) -> dict[str, str]:
    """`metadata.labels`, checked as Kubernetes does."""
    found = meta.get("labels")
    if found is None:
        return {}
    labels = {}
    for name, value in found.entries():
        text = value.text()
        if not _LABEL_NAME.match(name.rpartition("/")[2]):
            value.error(f"{name[:60]!r} is not a label name")
        if text and not _LABEL_NAME.match(text):
            value.error(f"{text[:60]!r} is not a label value: at most 63 of A-Z, a-z, 0-9, '-', '_' and '.'")
        labels[name] = text
    return labels


def config_map(top: Fields, meta: kinds.Meta) -> kinds.ConfigMap:
    return kinds.ConfigMap(meta, top.labels("data"))


def secret(top: Fields, meta: kinds.Meta) -> kinds.ConfigMap:
    """A Secret with its values decoded. An error never shows a value."""
    data = {}
    encoded = top.get("data")
    for name, value in encoded.entries() if encoded else []:
        if not isinstance(value.raw, str):
            value.error("must be a base64 string")
            continue
        try:
            data[name] = base64.b64decode("".join(value.raw.split()), validate=True).decode()
        except (binascii.Error, ValueError):
            value.error("is not base64 of UTF-8 text", "put the text itself under stringData")
    open_text = top.get("stringData")
    for name, value in open_text.entries() if open_text else []:
        if not isinstance(value.raw, str):
            value.error("must be a string", "put it in quotes")
            continue
        data[name] = value.raw
    return kinds.ConfigMap(meta, data)
