"""Each mixture of forms: one root, no phantom parent, spans nested as time and parents say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.shapes import CHAIN, chain, nested_in_time, request, trace_of
from tests.support.mesh import running_mesh

from meshtrail.model.trace import Trace

SERVICES = ("frontend", "backend", "database")
# All in one form is in the matrix.
MIXTURES = [mixture for mixture in itertools.product(("plain", "otel"), repeat=3) if len(set(mixture)) > 1]
# Application spans of each service in the otel form that a request must show, by (service, kind, part of the name).
APPLICATION = {
    "frontend": [("frontend", "server", "GET"), ("frontend", "client", "GET")],
    "backend": [
        ("backend", "server", "GET"),
        ("backend", "internal", "processBusinessLogic"),
        ("backend", "internal", "fetchFromDatabase"),
        ("backend", "client", "GET"),
    ],
    "database": [("database", "server", "GET"), ("database", "client", "SELECT")],
}


def mixtures() -> Iterator[Any]:
    """One in the fast run, which also has all three in the otel form; each of them in `make test-matrix`."""
    for mixture in MIXTURES:
        marks = () if mixture == ("plain", "otel", "plain") else (pytest.mark.matrix,)
        yield pytest.param(mixture, id="-".join(mixture), marks=marks)


@pytest.mark.parametrize("mixture", mixtures())
def test_every_mixture_of_forms_is_one_trace(mixture: tuple[str, ...]) -> None:
    forms = dict(zip(SERVICES, mixture, strict=True))
    options = [option for service, form in forms.items() for option in ("--form", f"{service}={form}")]
    wanted = [entry for service, form in forms.items() if form == "otel" for entry in APPLICATION[service]]
    with running_mesh(*options) as mesh:
        request(mesh.gateway)  # the first request also connects and warms
        trace = trace_of(
            mesh.jaeger,
            request(mesh.gateway),
            lambda trace: trace.complete and len(trace.spans) >= 7 + len(wanted),
        )
        assert [entry for entry in chain(trace) if "." in entry[0]] == CHAIN
        for service, kind, name in wanted:
            found = [s for s in trace.spans if (s.service, s.kind) == (service, kind) and name in s.name]
            assert found, f"no {kind} span {name} of {service}: {[(s.service, s.kind, s.name) for s in trace.spans]}"
        own = {span.service for span in trace.spans if not span.by_proxy}
        assert own == {service for service, form in forms.items() if form == "otel"}
        assert nested_in_time(trace) == []
        if forms["backend"] == "otel":
            assert_business_spans_nest(trace_parents(trace))


def trace_parents(trace: Trace) -> dict[tuple[str, str], tuple[str, str] | None]:
    parents = {}
    for span in trace.spans:
        parent = trace.parent_of(span)
        parents[(span.service, span.name)] = (parent.service, parent.name) if parent else None
    return parents


def assert_business_spans_nest(parents: dict[tuple[str, str], tuple[str, str] | None]) -> None:
    fetch = parents[("backend", "fetchFromDatabase")]
    logic = parents[("backend", "processBusinessLogic")]
    assert fetch == ("backend", "processBusinessLogic")
    assert logic is not None
    assert logic[0] == "backend"
    assert logic[1].startswith("GET")
