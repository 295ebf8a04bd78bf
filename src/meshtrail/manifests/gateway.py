"""Istio's Gateway and ServiceEntry: what comes in, and what lies outside the mesh."""

from __future__ import annotations

from meshtrail.manifests import kinds
from meshtrail.manifests.kubernetes import OBJECT
from meshtrail.manifests.reader import Fields, message

_PROTOCOLS = ("HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "UDP")

GATEWAY = message("Gateway", f"{OBJECT} spec", inert="status")
GATEWAY_SPEC = message("Gateway.spec", "selector servers")
SERVER = message(
    "Gateway.spec.servers[]",
    "port hosts",
    inert="name defaultEndpoint",
    refused={
        "tls": "the local gateway speaks plain HTTP: add a server with protocol HTTP",
        "bind": "the local gateway binds to loopback",
    },
)
SERVER_PORT = message("Gateway.spec.servers[].port", "name number protocol", inert="targetPort")
SERVICE_ENTRY = message("ServiceEntry", f"{OBJECT} spec", inert="status")
SERVICE_ENTRY_SPEC = message(
    "ServiceEntry.spec",
    "hosts ports resolution endpoints exportTo",
    inert="location",
    refused={
        "addresses": "name the host, not its virtual addresses",
        "workloadSelector": "give endpoints",
        "subjectAltNames": "",
    },
)
ENTRY_PORT = message("ServiceEntry.spec.ports[]", "name number protocol targetPort")
ENDPOINT = message(
    "ServiceEntry.spec.endpoints[]", "address", inert="locality serviceAccount", refused="ports labels network weight"
)


def check_export(spec: Fields) -> None:
    """Everything is visible everywhere here, which is also what "*" says and what the absence of exportTo means."""
    for item in spec.items("exportTo"):
        if item.text() != "*":
            spec.not_carried_out("exportTo", 'remove it, or export to "*"')
            return


def gateway(top: Fields, meta: kinds.Meta) -> kinds.Gateway:
    spec = top.fields("spec", GATEWAY_SPEC, required=True)
    if spec is None:
        return kinds.Gateway(meta, {}, ())
    servers = []
    for item in spec.all_fields("servers", SERVER, required=True):
        port = item.fields("port", SERVER_PORT, required=True)
        hosts = item.strings("hosts", required=True)
        if port is None:
            continue
        protocol = port.get("protocol")
        protocol_name = protocol.text().upper() if protocol else ""
        if protocol is None:
            port.error("is required", "protocol")
        elif protocol_name and protocol_name not in _PROTOCOLS:
            port.error(f"{protocol_name[:60]!r} is not one of {', '.join(_PROTOCOLS)}", "protocol")
        elif protocol_name not in ("HTTP", "HTTP2", "GRPC"):
            if protocol_name and "tls" not in item:
                port.not_carried_out("protocol", "use HTTP", f"protocol {protocol_name}")
            continue
        servers.append(
            kinds.GatewayServer(
                port=port.integer("number", 1, 65535, required=True),
                name=port.text("name", required=True),
                protocol=protocol_name,
                hosts=hosts,
            )
        )
    return kinds.Gateway(meta, spec.labels("selector"), tuple(servers))


def service_entry(top: Fields, meta: kinds.Meta) -> kinds.ServiceEntry:
    spec = top.fields("spec", SERVICE_ENTRY_SPEC, required=True)
    if spec is None:
        return kinds.ServiceEntry(meta, (), (), "NONE")
    check_export(spec)
    resolution = spec.text("resolution", "NONE", choices=("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"))
    if resolution in ("NONE", "DYNAMIC_DNS"):
        spec.not_carried_out("resolution", "use DNS or STATIC", f"resolution {resolution}")
    ports = tuple(
        kinds.ServiceEntryPort(
            port=item.integer("number", 1, 65535, required=True),
            name=item.text("name", required=True),
            protocol=item.text("protocol").upper(),
            target_port=item.maybe_integer("targetPort", 1, 65535),
        )
        for item in spec.all_fields("ports", ENTRY_PORT, required=True)
    )
    endpoints = tuple(item.text("address", required=True) for item in spec.all_fields("endpoints", ENDPOINT))
    if resolution == "STATIC" and not endpoints:
        spec.error("resolution STATIC needs endpoints", "resolution")
    return kinds.ServiceEntry(meta, spec.strings("hosts", required=True), ports, resolution, endpoints)
