"""Istio's Telemetry: what is traced, how much of it, and to where."""

from __future__ import annotations

from typing import Literal

from meshtrail.manifests import kinds
from meshtrail.manifests.kubernetes import OBJECT
from meshtrail.manifests.reader import Fields, message

TELEMETRY = message("Telemetry", f"{OBJECT} spec", inert="status")
SPEC = message(
    "Telemetry.spec",
    "selector tracing",
    # There is no metrics store and no access-log collector on a laptop.
    inert="metrics accessLogging",
    refused={"targetRef": "use selector", "targetRefs": "use selector"},
)
SELECTOR = message("Telemetry.spec.selector", "matchLabels")
TRACING = message(
    "Telemetry.spec.tracing[]",
    "providers randomSamplingPercentage disableSpanReporting disableContextPropagation useRequestIdForTraceSampling "
    "enableIstioTags customTags match",
)
PROVIDER = message("Telemetry.spec.tracing[].providers[]", "name")
MATCH = message("Telemetry.spec.tracing[].match", "mode")
CUSTOM_TAG = message(
    "Telemetry.spec.tracing[].customTags",
    "literal header environment formatter",
)
LITERAL = message("Telemetry.spec.tracing[].customTags.literal", "value")
FORMATTER = message("Telemetry.spec.tracing[].customTags.formatter", "value")
NAMED = message("Telemetry.spec.tracing[].customTags.header, environment", "name defaultValue")

_MODES: tuple[Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"], ...] = ("CLIENT_AND_SERVER", "CLIENT", "SERVER")


def telemetry(top: Fields, meta: kinds.Meta) -> kinds.Telemetry:
    spec = top.fields("spec", SPEC, required=True)
    if spec is None:
        return kinds.Telemetry(meta, {}, ())
    selector = spec.fields("selector", SELECTOR)
    return kinds.Telemetry(
        meta,
        selector.labels("matchLabels") if selector else {},
        tuple(tracing(item) for item in spec.all_fields("tracing", TRACING)),
    )


def tracing(fields: Fields) -> kinds.Tracing:
    sampling = fields.get("randomSamplingPercentage")
    match = fields.fields("match", MATCH)
    mode = match.text("mode", "CLIENT_AND_SERVER", choices=_MODES) if match else "CLIENT_AND_SERVER"
    providers = tuple(item.text("name", required=True) for item in fields.all_fields("providers", PROVIDER))
    if len(providers) > 1:
        place = fields.value
        place.scope.warn("only the first provider counts", fields.raw.where("providers"), f"{place.path}.providers")
    tags = fields.get("customTags")
    return kinds.Tracing(
        providers=providers,
        random_sampling_percentage=sampling.number(0.0, 100.0) if sampling else None,
        disable_span_reporting=fields.maybe_boolean("disableSpanReporting"),
        disable_context_propagation=fields.maybe_boolean("disableContextPropagation"),
        use_request_id_for_trace_sampling=fields.maybe_boolean("useRequestIdForTraceSampling"),
        enable_istio_tags=fields.maybe_boolean("enableIstioTags"),
        custom_tags=tuple(
            tag
            for name, value in (tags.entries() if tags else [])
            if (tag := custom_tag(name, value.fields(CUSTOM_TAG)))
        ),
        mode=next(one for one in _MODES if one == mode),
    )


def custom_tag(name: str, fields: Fields) -> kinds.CustomTag | None:
    fields.exactly_one("literal", "header", "environment", "formatter", required=True)
    literal = fields.fields("literal", LITERAL)
    if literal is not None:
        return kinds.CustomTag(name, "literal", literal.text("value", required=True))
    formatter = fields.fields("formatter", FORMATTER)
    if formatter is not None:
        return kinds.CustomTag(name, "formatter", formatter.text("value", required=True))
    kind: Literal["header", "environment"]
    for kind in ("header", "environment"):
        found = fields.fields(kind, NAMED)
        if found is not None:
            return kinds.CustomTag(name, kind, found.text("name", required=True), found.text("defaultValue"))
    return None
