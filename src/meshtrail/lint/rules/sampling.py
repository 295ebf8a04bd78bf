"""Sampling: nothing, or the one in a hundred that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator

from meshtrail.errors import ManifestError
from meshtrail.lint.bundle import Bundle
from meshtrail.lint.finding import Found
from meshtrail.lint.objects import dig, number
from meshtrail.lint.rule import note, rule, warning
from meshtrail.lint.tracing import telemetries, tracings, whole_namespace
from meshtrail.manifests.document import Map, parse

PROXY_CONFIG = "proxy.istio.io/config"


def _mesh_wide(bundle: Bundle) -> bool:
    """Whether a Telemetry for the whole mesh says how much is sampled."""
    return any(
        one.sampling is not None and one.object.namespace == bundle.root and whole_namespace(one.object)
        for one in tracings(telemetries(bundle.all))
    )


@rule(
    "sampling-zero",
    "Nothing is sampled",
    "warning",
    why="""At 0 % no request is traced, not even one that arrives with a sampled `traceparent`: the gateway's
    decision counts and x-request-id carries it on.""",
    mend="Set `randomSamplingPercentage`: 100 to try things out, 1 to 10 in production.",
    conditions="Not the default of the mesh configuration, where a Telemetry for the whole mesh says otherwise.",
)
def sampling_zero(bundle: Bundle) -> Iterator[Found]:
    for tracing in tracings(telemetries(bundle.own)):
        if tracing.sampling == 0 and tracing.raw.get("disableSpanReporting") is not True:
            path = (*tracing.path, "randomSamplingPercentage")
            yield warning(tracing.object, path, "0 %: no request is traced", "raise it, 100 samples all")
    if _mesh_wide(bundle):
        return
    for mesh in bundle.own.meshes:
        if mesh.sampling == 0:
            text = "0 %: no request is traced where no Telemetry says otherwise"
            yield warning(mesh.object, mesh.sampling_path, text, "raise it, or say how much in a Telemetry")
    for one in bundle.workloads:
        config = one.annotations.get(PROXY_CONFIG, "")
        if "sampling" not in config:
            continue
        try:
            found = parse(config, "")
        except ManifestError:
            continue
        if found and isinstance(found[0], Map) and number(dig(found[0], ("tracing", "sampling"))) == 0:
            path = (*one.template, "metadata", "annotations", PROXY_CONFIG)
            yield warning(one.object, path, "sampling is 0: requests that begin here are not traced", "raise it")


@rule(
    "sampling-default",
    "Nothing says how much is sampled",
    "warning",
    "note",
    why="""Istio samples 1 % unless told otherwise: one request in a hundred, which looks like tracing that does not
    work.""",
    mend="Set `randomSamplingPercentage` in the Telemetry, if only to 1.",
    conditions="""Not where the mesh configuration gives a default (`defaultConfig.tracing.sampling`,
    `pilot.traceSampling`, the demo profile), or a wider Telemetry a figure. A note where no mesh configuration is
    among the manifests.""",
)
def sampling_default(bundle: Bundle) -> Iterator[Found]:
    if _mesh_wide(bundle):
        return
    if any(mesh.sampling is not None for mesh in bundle.meshes):
        return
    level = warning if bundle.meshes else note
    text = "nothing says how much is sampled" + (": Istio takes 1 %" if bundle.meshes else ", which may be Istio's 1 %")
    for one in telemetries(bundle.own):
        own = list(tracings([one]))
        silent = any(tracing.sampling is not None or tracing.raw.get("disableSpanReporting") for tracing in own)
        first = next((tracing for tracing in own if tracing.providers), None)
        if first is not None and not silent:
            yield level(one, first.path, text, "add randomSamplingPercentage: 100, or what you want")
    for mesh in bundle.own.meshes:
        if mesh.defaults:
            path = (*mesh.path, "defaultProviders", "tracing")
            yield level(mesh.object, path, text, "add defaultConfig.tracing.sampling, or a Telemetry")
