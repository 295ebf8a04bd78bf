"""Providers: a Telemetry names one, the mesh configuration defines it, a Service takes its spans."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from meshtrail.lint.bundle import SYSTEM, Bundle
from meshtrail.lint.finding import Found, Level
from meshtrail.lint.meshconfig import BUILT_IN, Provider
from meshtrail.lint.objects import Object, Path
from meshtrail.lint.ports import HTTP2, Port, ports
from meshtrail.lint.routes import DOMAIN, service_name, short_for
from meshtrail.lint.rule import error, note, rule, warning
from meshtrail.lint.tracing import telemetries, tracings, used


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


@rule(
    "unknown-provider",
    "A Telemetry names a provider that does not trace",
    "error",
    "note",
    why="""A provider that `meshConfig.extensionProviders` does not have, or that is for logs or metrics, switches
    tracing off without a word: Istio accepts the object and `istioctl analyze` says nothing.""",
    mend="Name an entry of `meshConfig.extensionProviders`, or add it there.",
    conditions="""A note where no mesh configuration (IstioOperator, ConfigMap `istio`, Helm values) is among the
    manifests.""",
)
def unknown_provider(bundle: Bundle) -> Iterator[Found]:
    for tracing in tracings(telemetries(bundle.own)):
        for path, name in tracing.providers:
            yield from _unknown(bundle, tracing.object, path, name)
    for mesh in bundle.own.meshes:
        for index, name in enumerate(mesh.defaults):
            yield from _unknown(bundle, mesh.object, (*mesh.path, "defaultProviders", "tracing", index), name)


def _unknown(bundle: Bundle, one: Object, path: Path, name: str) -> Iterator[Found]:
    defined = [entry for mesh in bundle.meshes for entry in mesh.providers]
    tracing = sorted({entry.name for entry in defined if entry.traces and entry.name not in BUILT_IN})
    choice = f"use one of {', '.join(tracing)}" if tracing else "add it to meshConfig.extensionProviders"
    kinds = {entry.kind for entry in defined if entry.name == name}
    if not bundle.meshes:
        if name in BUILT_IN and name != "stackdriver":
            yield error(one, path, f"provider {name!r} is not for tracing: no spans", choice)
            return
        yield note(
            one,
            path,
            f"nobody can tell whether there is a provider {name!r}: no mesh configuration is among the manifests",
            "lint it together with the mesh configuration: meshtrail lint PATH... MESHCONFIG",
        )
    elif not kinds:
        mend = _near(name, tracing) or choice
        yield error(one, path, f"provider {name!r} is not in meshConfig.extensionProviders: no spans", mend)
    elif not any(entry.traces for entry in defined if entry.name == name):
        yield error(one, path, f"provider {name!r} ({kinds.pop()}) is not for tracing: no spans", choice)


@rule(
    "several-providers",
    "A Telemetry names more than one tracing provider",
    "warning",
    why="Istio sends spans to the first of the list; the others get none, and nothing says so.",
    mend="Name one. To send to two places, name a collector that does.",
)
def several_providers(bundle: Bundle) -> Iterator[Found]:
    for tracing in tracings(telemetries(bundle.own)):
        named = tracing.providers
        if len(named) > 1:
            path, name = named[1]
            text = f"only the first provider gets spans, {named[0][1]!r}; {name!r} gets none"
            yield warning(tracing.object, path, text, f"remove {name!r}, or let a collector send to both")


@rule(
    "no-provider",
    "Nothing tells Istio to trace",
    "note",
    why="Defining a provider sends no span. A Telemetry has to name it, or `meshConfig.defaultProviders.tracing`.",
    mend="Add a Telemetry in the root namespace that names the provider.",
    conditions="""Not where a Telemetry anywhere in the manifests names a provider. It may be in another repository,
    so it is a note.""",
)
def no_provider(bundle: Bundle) -> Iterator[Found]:
    named = any(one.providers for one in tracings(telemetries(bundle.all)))
    for mesh in bundle.own.meshes:
        own = [one for one in mesh.providers if one.traces and one.name not in BUILT_IN]
        own.sort(key=lambda one: one.kind not in ("opentelemetry", "zipkin"))
        if own and not named and not mesh.defaults:
            yield note(
                mesh.object,
                (*mesh.path, "extensionProviders"),
                "tracing providers are defined, and nothing here names one: Istio sends no span",
                f"add a Telemetry in {mesh.root} with spec.tracing[0].providers[0].name: {own[0].name}",
            )


@rule(
    "provider-service",
    "A provider's collector is not there, or its port is misnamed",
    "error",
    "note",
    why="""A proxy finds the collector among the Services that Istio knows, by its whole name. A name that is short
    or wrong, or a port that is not there, switches tracing off. A port for OTLP over gRPC that is not named
    `grpc-*` is spoken to in HTTP/1.1, and every span is lost.""",
    mend="""Write the whole name (`NAME.NAMESPACE.svc.cluster.local`) and a port of that Service; name an OTLP port
    `grpc-otlp`.""",
    conditions="A provider that nothing names is a note. Services have to be in the manifests to be missed.",
)
def provider_service(bundle: Bundle) -> Iterator[Found]:
    for mesh in bundle.own.meshes:
        for one in mesh.providers:
            if one.settings is None or not one.service or bundle.has_entry(one.service):
                continue
            level: Level = "error" if used(bundle, one.name) else "note"
            path = (*one.path, one.kind, "service")
            found = service_name(one.service, "")
            if found is None or "." not in one.service:
                yield from _not_whole(bundle, one, path, level)
                continue
            services = bundle.service(*found)
            known = bundle.knows_services(found[1])
            if not services:
                if known:
                    text = f"provider {one.name!r} sends to {one.service}, and there is no such Service"
                    near = _near(found[0], known)
                    # Several installations meet in istio-system: its collector may be in another repository.
                    level = "note" if found[1] in SYSTEM and not near else level
                    mend = near or f"namespace {found[1]} has {', '.join(sorted(known)[:6])}"
                    yield Found(level, one.object, path, text, mend)
                continue
            yield from _port(bundle, one, services, level)


def _not_whole(bundle: Bundle, one: Provider, path: Path, level: Level) -> Iterator[Found]:
    short = short_for(one.service)
    text = f"provider {one.name!r}: Istio knows no {one.service!r}, only whole names, so it traces nothing"
    if short is not None and (one.service.endswith(".svc") or _is_namespace(bundle, short[1])):
        yield Found(level, one.object, path, text, f"write {short[0]}.{short[1]}{DOMAIN}")
    elif "." not in one.service:
        yield Found(level, one.object, path, text, f"write {one.service}.NAMESPACE{DOMAIN}")
    else:
        yield note(
            one.object,
            path,
            f"provider {one.name!r} sends to {one.service}, which Istio knows only by a ServiceEntry",
            "add a ServiceEntry for it, if there is none elsewhere",
        )


def _is_namespace(bundle: Bundle, name: str) -> bool:
    return name in bundle.all.namespaces or any(one.namespace == name for one in bundle.all.objects)


def _port(bundle: Bundle, one: Provider, services: list[Object], level: Level) -> Iterator[Found]:
    path = (*one.path, one.kind, "port")
    pairs = [(service, port) for service in services for port in ports(service) if port.number == one.port]
    if not pairs:
        have = ", ".join(str(port.number) for port in ports(services[0])) or "none"
        usual = "4317: OTLP over gRPC, 4318: over HTTP, 9411: Zipkin"
        text = f"provider {one.name!r} sends to port {one.port} of {services[0].title}, which has {have}"
        yield Found(level, one.object, path, text, f"mend the port ({usual})")
        return
    for service, port in pairs:
        if one.grpc and port.protocol not in HTTP2:
            text = (
                f"port {port.number} takes OTLP over gRPC of provider {one.name!r}, and {_said(port)}: spans are lost"
            )
            yield Found(level, service, _field(port), text, "name it grpc-otlp")
        elif not one.grpc and one.kind in ("opentelemetry", "zipkin") and port.protocol in HTTP2:
            protocol = "Zipkin" if one.kind == "zipkin" else "OTLP over HTTP"
            text = f"port {port.number} takes {protocol} of provider {one.name!r}, and {_said(port)}: spans are lost"
            yield Found(
                level, service, _field(port), text, "name it http-" + ("zipkin" if one.kind == "zipkin" else "otlp")
            )


def _field(port: Port) -> Path:
    return (*port.path, "appProtocol" if port.said_by == "appProtocol" else "name")


def _said(port: Port) -> str:
    if port.said_by == "appProtocol":
        return f"its appProtocol is {port.protocol}"
    return f"it is named {port.name!r}" if port.name else "it has no name"
