"""How the OpenTelemetry SDK of an application is set: headers, sampler, exporter, misspelt variables."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from meshtrail.lint.bundle import Bundle
from meshtrail.lint.environment import Variable, variables
from meshtrail.lint.finding import Found
from meshtrail.lint.rule import error, note, rule, warning
from meshtrail.lint.tracing import named_provider, provider
from meshtrail.lint.workload import PROXY, Workload

FORMATS = {"tracecontext": "W3C", "b3": "B3", "b3multi": "B3"}
OTHER_PROPAGATORS = {"baggage", "jaeger", "xray", "xray-lambda", "ottrace", "none"}
_NAMES = """
SDK_DISABLED RESOURCE_ATTRIBUTES SERVICE_NAME LOG_LEVEL PROPAGATORS TRACES_SAMPLER TRACES_SAMPLER_ARG TRACES_EXPORTER
METRICS_EXPORTER LOGS_EXPORTER BSP_SCHEDULE_DELAY BSP_EXPORT_TIMEOUT BSP_MAX_QUEUE_SIZE BSP_MAX_EXPORT_BATCH_SIZE
SEMCONV_STABILITY_OPT_IN METRIC_EXPORT_INTERVAL EXPORTER_ZIPKIN_ENDPOINT EXPORTER_OTLP_ENDPOINT
EXPORTER_OTLP_TRACES_ENDPOINT EXPORTER_OTLP_METRICS_ENDPOINT EXPORTER_OTLP_LOGS_ENDPOINT EXPORTER_OTLP_PROTOCOL
EXPORTER_OTLP_TRACES_PROTOCOL EXPORTER_OTLP_METRICS_PROTOCOL EXPORTER_OTLP_LOGS_PROTOCOL EXPORTER_OTLP_HEADERS
EXPORTER_OTLP_TRACES_HEADERS EXPORTER_OTLP_TIMEOUT EXPORTER_OTLP_TRACES_TIMEOUT EXPORTER_OTLP_INSECURE
EXPORTER_OTLP_TRACES_INSECURE EXPORTER_OTLP_CERTIFICATE EXPORTER_OTLP_TRACES_CERTIFICATE EXPORTER_OTLP_COMPRESSION
EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE
"""
KNOWN = [f"OTEL_{name}" for name in _NAMES.split()]
"""Variables of the specification; a name that is nearly one of them is a slip."""
# A language's own: near misses there mean something.
OWN = re.compile(r"OTEL_(JAVAAGENT|JAVA|DOTNET|PYTHON|NODE|RUBY|PHP|GO|INSTRUMENTATION|COLLECTOR|K8S|RESOURCE)_")


def _settings(bundle: Bundle) -> Iterator[tuple[Workload, dict[str, Variable]]]:
    """The variables of each container whose name begins with OTEL_, of pods that may have a sidecar."""
    for one in bundle.workloads:
        if bundle.membership(one) == "out":
            continue
        for container in one.containers:
            found = variables(bundle, one, container) if container.name != PROXY else {}
            own = {name: variable for name, variable in found.items() if name.startswith("OTEL_")}
            if own and own.get("OTEL_SDK_DISABLED", Variable("", "", one.object, ())).value.lower() != "true":
                yield one, own


@rule(
    "propagators",
    "An application speaks of a trace in other headers than the mesh",
    "error",
    "warning",
    "note",
    why="""The SDK reads and sends the formats of `OTEL_PROPAGATORS` (W3C when it is not set), the sidecars those of
    their provider: W3C for `opentelemetry`, B3 for `zipkin`. With none in common the application starts a trace of
    its own.""",
    mend="`OTEL_PROPAGATORS=b3multi,tracecontext,baggage` understands both.",
    conditions="""The provider has to be certain: mesh configuration and Telemetry among the manifests. Not set in a
    mesh of B3 is a note: the code may set it.""",
)
def propagators(bundle: Bundle) -> Iterator[Found]:
    for one, found in _settings(bundle):
        mesh = provider(bundle, named_provider(bundle, one.object.namespace, one.labels))
        spoken = mesh.formats if mesh else frozenset()
        said = found.get("OTEL_PROPAGATORS")
        if said is None:
            endpoint = next((found[name] for name in found if name.startswith("OTEL_EXPORTER_OTLP")), None)
            if spoken == {"B3"} and endpoint is not None and mesh is not None:
                text = f"OTEL_PROPAGATORS is not set, which means W3C, and the mesh speaks B3 (provider {mesh.name!r})"
                yield note(endpoint.object, endpoint.path, text, "set OTEL_PROPAGATORS=b3multi,tracecontext,baggage")
            continue
        names = [name.strip().lower() for name in said.value.split(",") if name.strip()]
        unknown = [name for name in names if name not in FORMATS and name not in OTHER_PROPAGATORS]
        near = [difflib.get_close_matches(name.replace("-", ""), [*FORMATS, "baggage"], n=1) for name in unknown]
        if unknown and near[0]:
            yield warning(
                said.object, said.path, f"no propagator is called {unknown[0]!r}", f"did you mean {near[0][0]!r}?"
            )
            continue
        own = {FORMATS[name] for name in names if name in FORMATS}
        if "none" in names and not own:
            text = "none: the application forwards no headers, every call of it begins a new trace"
            yield error(said.object, said.path, text, "remove it, or name tracecontext")
        elif own and spoken and not own & spoken and mesh is not None:
            theirs = f"{'/'.join(spoken)} (provider {mesh.name!r})"
            text = f"the application speaks {'/'.join(sorted(own))}, the mesh {theirs}: traces break here"
            yield error(said.object, said.path, text, "set OTEL_PROPAGATORS=b3multi,tracecontext,baggage")


@rule(
    "sampler",
    "An application decides by itself what is sampled",
    "warning",
    why="""In a mesh the gateway decides and everybody follows. A sampler that does not ask its parent takes the
    application's spans out of traces that are kept, and tells the sidecars behind it not to keep theirs.""",
    mend="`OTEL_TRACES_SAMPLER=parentbased_always_on`.",
    conditions="Not `always_on`, which keeps every trace whole; not pods without a sidecar.",
)
def sampler(bundle: Bundle) -> Iterator[Found]:
    for _, found in _settings(bundle):
        said = found.get("OTEL_TRACES_SAMPLER")
        if said is not None and said.value.strip().lower() in ("traceidratio", "always_off"):
            what = "nothing" if "off" in said.value else "a share of its own"
            text = f"{said.value}: the application keeps {what}, whatever the gateway decided"
            yield warning(said.object, said.path, text, "use parentbased_always_on")


@rule(
    "exporter-none",
    "An application makes spans and exports none",
    "warning",
    why="""With `OTEL_TRACES_EXPORTER=none` (or `console`) the SDK still makes spans and puts their ids into the
    headers. The spans behind it then have a parent that never arrives: a phantom.""",
    mend="Export them (`otlp`), or switch the SDK off (`OTEL_SDK_DISABLED=true`), which leaves the headers alone.",
    conditions="Not for pods without a sidecar.",
)
def exporter_none(bundle: Bundle) -> Iterator[Found]:
    for _, found in _settings(bundle):
        said = found.get("OTEL_TRACES_EXPORTER")
        names = {name.strip().lower() for name in said.value.split(",")} if said is not None else set()
        if said is not None and names and names <= {"none", "console", "logging"}:
            text = f"{said.value}: spans are made and not exported, so those behind them have no parent"
            yield warning(said.object, said.path, text, "use otlp, or OTEL_SDK_DISABLED=true")


@rule(
    "otel-variable",
    "A variable of OpenTelemetry is misspelt",
    "warning",
    why="The SDK passes over a variable that it does not know, and takes its default: often an exporter to localhost.",
    mend="Write it as the specification does.",
    conditions="Not names that differ much, nor those of a language's own.",
)
def otel_variable(bundle: Bundle) -> Iterator[Found]:
    for _, found in _settings(bundle):
        for name, variable in found.items():
            if name in KNOWN or OWN.match(name):
                continue
            close = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.93)
            if close:
                path = (*variable.path[:-1], "name") if variable.path[-1:] == ("value",) else variable.path
                yield warning(variable.object, path, f"no SDK knows {name}", f"did you mean {close[0]}?")
