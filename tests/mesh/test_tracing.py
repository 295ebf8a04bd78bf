"""Istio's merge of Telemetry resources."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshtrail.manifests import kinds
from meshtrail.mesh.model import ResolvedTracing
from meshtrail.mesh.tracing import resolve

ONE = kinds.TracingProvider("one", "opentelemetry", "collector", 4317)
TWO = kinds.TracingProvider("two", "zipkin", "zipkin", 9411)
CONFIG = kinds.MeshConfig(kinds.Meta("MeshConfig", "istio", "istio-system"), providers=(ONE, TWO))
LABELS = {"app": "web"}


def telemetry(
    namespace: str, *tracing: kinds.Tracing, selector: dict[str, str] | None = None, name: str = "t"
) -> kinds.Telemetry:
    return kinds.Telemetry(kinds.Meta("Telemetry", name, namespace), selector or {}, tracing)


def resolved(*telemetries: kinds.Telemetry, config: kinds.MeshConfig = CONFIG) -> ResolvedTracing | None:
    return resolve(config, telemetries, "n", LABELS, "outbound")


def test_nobody_names_a_provider() -> None:
    assert resolved() is None
    assert resolved(telemetry("istio-system", kinds.Tracing(random_sampling_percentage=100.0))) is None


def test_the_mesh_s_default_provider_samples_one_percent() -> None:
    found = resolved(config=replace(CONFIG, default_tracing_providers=("one", "two")))
    assert found == ResolvedTracing(ONE, 1.0)


def test_the_narrowest_wins_field_by_field() -> None:
    root = telemetry("istio-system", kinds.Tracing(providers=("one",), random_sampling_percentage=10.0))
    namespace = telemetry("n", kinds.Tracing(random_sampling_percentage=20.0))
    workload = telemetry("n", kinds.Tracing(providers=("two", "one")), selector={"app": "web"})
    other = telemetry("n", kinds.Tracing(disable_span_reporting=True), selector={"app": "other"})
    assert resolved(root) == ResolvedTracing(ONE, 10.0)
    assert resolved(root, namespace) == ResolvedTracing(ONE, 20.0)
    # The order in which they were read does not matter.
    assert resolved(other, workload, namespace, root) == ResolvedTracing(TWO, 20.0)


def test_another_namespace_does_not_count() -> None:
    assert resolved(telemetry("elsewhere", kinds.Tracing(providers=("one",)))) is None


def test_custom_tags_replace_they_do_not_add_up() -> None:
    one, two = kinds.CustomTag("a", "literal", "1"), kinds.CustomTag("b", "literal", "2")
    root = telemetry("istio-system", kinds.Tracing(providers=("one",), custom_tags=(one,)))
    found = resolved(root, telemetry("n", kinds.Tracing(custom_tags=(two,))))
    assert found is not None
    assert found.custom_tags == (two,)


def test_an_unknown_provider_of_a_narrower_scope_silences_the_wider() -> None:
    root = telemetry("istio-system", kinds.Tracing(providers=("one",)))
    assert resolved(root, telemetry("n", kinds.Tracing(providers=("tow",)))) is None


def test_reporting_can_be_switched_off_and_on_again() -> None:
    root = telemetry("istio-system", kinds.Tracing(providers=("one",), disable_span_reporting=True))
    assert resolved(root) is None
    assert resolved(root, telemetry("n", kinds.Tracing(disable_span_reporting=False))) is not None


@pytest.mark.parametrize(("direction", "traced"), [("inbound", False), ("outbound", True)])
def test_mode(direction: str, traced: bool) -> None:
    only = telemetry("n", kinds.Tracing(providers=("one",), mode="CLIENT"))
    assert (resolve(CONFIG, (only,), "n", LABELS, direction) is not None) is traced  # type: ignore[arg-type]


def test_every_switch_arrives() -> None:
    found = resolved(
        telemetry(
            "n",
            kinds.Tracing(
                providers=("one",),
                random_sampling_percentage=0.0,
                disable_context_propagation=True,
                use_request_id_for_trace_sampling=False,
                enable_istio_tags=False,
            ),
        )
    )
    assert found == ResolvedTracing(ONE, 0.0, propagate=False, use_request_id=False, istio_tags=False)
