"""Telemetry objects: which of them holds, for whom, and whether it switches tracing off."""

from __future__ import annotations

from collections.abc import Iterator

from meshtrail.lint.bundle import Bundle, selects
from meshtrail.lint.finding import Found
from meshtrail.lint.objects import Object
from meshtrail.lint.rule import error, note, rule, warning
from meshtrail.lint.tracing import selector, targets, telemetries, tracings, whole_namespace
from meshtrail.lint.workload import GATEWAY_LABELS


@rule(
    "telemetry-competes",
    "Two Telemetries hold for the same pods",
    "error",
    why="""Of several Telemetries with the same scope Istio takes the oldest, whole, and ignores the others: also
    one that sets only tracing beside one that sets only logs. Which one that is, the manifests do not say.""",
    mend="Put both into one object, or give one a selector.",
    conditions="At least one of them has to set tracing; the same object given twice is not two.",
)
def telemetry_competes(bundle: Bundle) -> Iterator[Found]:
    first: dict[tuple[object, ...], list[Object]] = {}
    for one in telemetries(bundle.own):
        scope = (one.namespace, tuple(sorted(selector(one).items())), tuple(sorted(targets(one))))
        others = first.setdefault(scope, [])
        rival = next((other for other in others if other.key != one.key and (_traces(other) or _traces(one))), None)
        others.append(one)
        if rival is not None:
            path = ("spec", "selector") if selector(one) else ("metadata", "name")
            where = "the same pods" if selector(one) or targets(one) else "the same namespace"
            text = f"holds for {where} as {rival.title}: Istio takes the older one and ignores the other"
            yield error(one, path, text, f"join it with {rival.title}, or narrow its selector")


def _traces(one: Object) -> bool:
    return bool(one.items("spec", "tracing"))


@rule(
    "telemetry-selects-nothing",
    "A Telemetry selects no workload",
    "warning",
    why="""A Telemetry with a selector holds for pods of its own namespace; in the root namespace too, where one
    without a selector holds for the whole mesh. With labels that no pod there has it does nothing.""",
    mend="Mend the labels, or put it into the namespace of the pods.",
    conditions="Workloads of its namespace have to be in the manifests, or those that it means in another namespace.",
)
def telemetry_selects_nothing(bundle: Bundle) -> Iterator[Found]:
    for one in telemetries(bundle.own):
        wanted = selector(one)
        if not wanted or not _traces(one) or wanted.get("istio", "") in GATEWAY_LABELS:
            continue
        hit = [found for found in bundle.all.workloads if selects(wanted, found.labels)]
        if any(found.object.namespace in (one.namespace, "") for found in hit):
            continue
        own = [found for found in bundle.workloads if found.object.namespace == one.namespace]
        path = ("spec", "selector", "matchLabels")
        shown = ", ".join(f"{key}={value}" for key, value in wanted.items())
        if hit and (one.namespace == bundle.root or any(found in bundle.workloads for found in hit)):
            text = f"{shown} is {hit[0].object.title}, and a Telemetry selects in its own namespace only"
            yield warning(one, path, text, f"put it into namespace {hit[0].object.namespace}")
        elif own:
            yield warning(
                one, path, f"no workload of namespace {one.namespace} has the labels {shown}", "check the labels"
            )


@rule(
    "tracing-disabled",
    "Tracing is switched off",
    "note",
    why="""`disableSpanReporting` takes the tracer out of the proxies it holds for: their spans are missing, and
    they pass headers on as they came. `disableContextPropagation` keeps the spans and leaves the headers alone, so
    every hop starts a trace of its own. `enableTracing: false` holds where no Telemetry speaks of tracing.""",
    mend="Remove the field.",
    conditions="It may well be meant: a note.",
)
def tracing_disabled(bundle: Bundle) -> Iterator[Found]:
    for tracing in tracings(telemetries(bundle.own)):
        for field, what in (
            ("disableSpanReporting", "no spans from whom it holds for"),
            ("disableContextPropagation", "no headers are put in: each hop is a trace of its own"),
        ):
            if tracing.raw.get(field) is True:
                whom = "the whole mesh" if tracing.object.namespace == bundle.root else "this namespace"
                whom = whom if whole_namespace(tracing.object) else "the workloads it selects"
                yield note(tracing.object, (*tracing.path, field), f"{what} ({whom})", f"remove {field}")
    for mesh in bundle.own.meshes:
        found, path = mesh.setting("enableTracing")
        if found is False:
            yield note(mesh.object, path, "no spans where no Telemetry speaks of tracing", "set enableTracing: true")
