"""Which tracing applies to a proxy: Istio's merge of Telemetry resources.

Order, each overriding the one before: the mesh's default provider, the root namespace, the namespace, the workload
that a selector names. Only the first provider of a list counts, and custom tags replace, they do not add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from meshtrail.manifests import kinds
from meshtrail.mesh.model import Direction, ResolvedTracing


@dataclass(slots=True)
class _Merge:
    provider: str = ""
    sampling: float | None = None
    disabled: bool = False
    propagate: bool = True
    use_request_id: bool = True
    istio_tags: bool = True
    custom_tags: tuple[kinds.CustomTag, ...] = ()


def resolve(
    config: kinds.MeshConfig,
    telemetries: Sequence[kinds.Telemetry],
    namespace: str,
    labels: Mapping[str, str],
    direction: Direction,
) -> ResolvedTracing | None:
    """The tracing of one direction of a proxy; None when it makes no spans (no or an unknown provider included)."""
    merged = _Merge(provider=next(iter(config.default_tracing_providers), ""))
    mode = "SERVER" if direction == "inbound" else "CLIENT"
    for tracing in _applicable(config, telemetries, namespace, labels):
        if tracing.mode not in ("CLIENT_AND_SERVER", mode):
            continue
        if tracing.providers:
            merged.provider = tracing.providers[0]
        if tracing.random_sampling_percentage is not None:
            merged.sampling = tracing.random_sampling_percentage
        if tracing.disable_span_reporting is not None:
            merged.disabled = tracing.disable_span_reporting
        if tracing.disable_context_propagation is not None:
            merged.propagate = not tracing.disable_context_propagation
        if tracing.use_request_id_for_trace_sampling is not None:
            merged.use_request_id = tracing.use_request_id_for_trace_sampling
        if tracing.enable_istio_tags is not None:
            merged.istio_tags = tracing.enable_istio_tags
        if tracing.custom_tags:
            merged.custom_tags = tracing.custom_tags
    provider = next((entry for entry in config.providers if entry.name == merged.provider), None)
    if provider is None or merged.disabled:
        return None
    return ResolvedTracing(
        provider=provider,
        sampling=config.default_sampling if merged.sampling is None else merged.sampling,
        propagate=merged.propagate,
        use_request_id=merged.use_request_id,
        istio_tags=merged.istio_tags,
        custom_tags=merged.custom_tags,
    )


def _applicable(
    config: kinds.MeshConfig, telemetries: Sequence[kinds.Telemetry], namespace: str, labels: Mapping[str, str]
) -> Iterator[kinds.Tracing]:
    root = [t for t in telemetries if t.meta.namespace == config.root_namespace and not t.selector]
    own = [t for t in telemetries if t.meta.namespace == namespace and not t.selector]
    workload = [t for t in telemetries if t.meta.namespace == namespace and t.selector and selects(t.selector, labels)]
    scopes = (root, workload) if namespace == config.root_namespace else (root, own, workload)
    for scope in scopes:
        for telemetry in scope[:1]:
            yield from telemetry.tracing


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in selector.items())
