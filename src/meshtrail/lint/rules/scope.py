"""What sidecars can reach, and whether all of them speak of a trace in the same headers."""

from __future__ import annotations

from collections.abc import Iterator

from meshtrail.lint.bundle import Bundle
from meshtrail.lint.finding import Found
from meshtrail.lint.objects import Object, sequence, text
from meshtrail.lint.routes import service_name
from meshtrail.lint.rule import error, rule, warning
from meshtrail.lint.tracing import named_provider, provider, telemetries, tracings, whole_namespace


@rule(
    "sidecar-hides-collector",
    "A Sidecar hides the collector from its proxies",
    "error",
    why="""A proxy sends spans to a Service that it knows. A Sidecar whose `egress.hosts` leave the collector out
    makes Istio take the tracer away: no spans from this namespace, without an error anywhere (seen on Istio 1.29).""",
    mend="Add the collector's namespace to `egress.hosts`: `istio-system/*`.",
    conditions="The mesh configuration has to be among the manifests, and it has to be certain which provider holds.",
)
def sidecar_hides_collector(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.of("Sidecar", "istio.io"):
        egress = one.items("spec", "egress")
        if not egress or one.namespace == bundle.root:
            continue
        found = provider(bundle, named_provider(bundle, one.namespace))
        where = service_name(found.service, "") if found else None
        if found is None or where is None or "." not in found.service:
            continue
        hosts = [text(host) for _, entry in egress for host in sequence(entry.get("hosts"))]
        if any(_shows(host, found.service, where[1], one.namespace) for host in hosts):
            continue
        yield error(
            one,
            (*egress[0][0], "hosts"),
            f"leaves out {found.service}, to which provider {found.name!r} sends: no spans from these sidecars",
            f"add {where[1]}/*",
        )


def _shows(host: str, collector: str, namespace: str, own: str) -> bool:
    place, _, name = host.rpartition("/")
    if place not in ("*", namespace) and not (place in (".", "") and own == namespace):
        return False
    return name in ("*", collector) or (name.startswith("*.") and collector.endswith(name[1:]))


@rule(
    "provider-formats",
    "Parts of the mesh speak of a trace in different headers",
    "warning",
    why="""OpenTelemetry's provider reads and sends W3C's `traceparent`, Zipkin's reads and sends B3. Where requests
    cross from the one to the other, the second starts a new trace.""",
    mend="""Name one provider for the whole mesh, or give the Zipkin provider `traceContextOption:
    USE_B3_WITH_W3C_PROPAGATION`, which reads and sends both.""",
    conditions="The mesh configuration and the Telemetry of the whole mesh have to be among the manifests.",
)
def provider_formats(bundle: Bundle) -> Iterator[Found]:
    whole = provider(bundle, named_provider(bundle, bundle.root))
    if whole is None or not whole.formats:
        return
    for tracing in tracings(_narrower(bundle)):
        for path, name in tracing.providers[:1]:
            own = provider(bundle, name)
            if own is not None and own.formats and not own.formats & whole.formats:
                yield warning(
                    tracing.object,
                    path,
                    f"provider {name!r} speaks {'/'.join(own.formats)}, the rest of the mesh ({whole.name!r}) "
                    f"{'/'.join(whole.formats)}: traces break where requests cross",
                    f"use {whole.name!r} here too",
                )


def _narrower(bundle: Bundle) -> list[Object]:
    return [one for one in telemetries(bundle.own) if one.namespace != bundle.root or not whole_namespace(one)]
