"""Every application, language, form and propagation mode: the traces that one request leaves, span for span.

One mesh for each application, language and form; its services are switched through every mode while it runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from tests.e2e.routing import NO_TLS, now_us
from tests.e2e.shapes import nested_in_time
from tests.e2e.trees import Expected, late, pieces
from tests.support.absent import absent
from tests.support.mesh import ROOT, running_mesh

from meshtrail.errors import MeshtrailError
from meshtrail.local import control, toolchains
from meshtrail.local.applications import APPLICATIONS, FORMS, parse_languages
from meshtrail.local.state import RunningMesh

# Who calls whom. bookinfo with reviews v2: the version that asks ratings, and looks back longest.
CALLS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "three-tier": {"frontend": ("backend",), "backend": ("database",)},
    "bookinfo": {"productpage": ("details", "reviews"), "reviews": ("ratings",)},
    "helloworld": {},
}
ROUTES = {"bookinfo": ("-f", "istio/bookinfo/reviews-v2")}
LANGUAGES = {"three-tier": ("python", "polyglot"), "bookinfo": ("python",), "helloworld": ("python", "go")}
# What the sidecars can join a call by, with either provider.
JOINED = {
    "w3c": {"none": False, "b3": False, "w3c": True, "all": True},
    "b3": {"none": False, "w3c": False, "b3": True, "all": True},
}
PROVIDERS = {"b3": ("-f", "istio/variants/b3.yaml")}


@dataclass(frozen=True)
class Row:
    application: str
    language: str
    form: str
    provider: str = "w3c"

    def __str__(self) -> str:
        return f"{self.application}-{self.language}-{self.form}" + ("-b3" if self.provider == "b3" else "")

    @property
    def expected(self) -> Expected:
        app = APPLICATIONS[self.application]
        entry = app.services[0]
        return Expected(entry, CALLS[app.name], app.services if self.form == "otel" else ())


ROWS = [
    *(Row(app, language, form) for app in APPLICATIONS for language in LANGUAGES[app] for form in FORMS),
    # three-tier in Python with B3 is in test_plain. An SDK that calls on needs another OTEL_PROPAGATORS then.
    Row("three-tier", "polyglot", "plain", "b3"),
    Row("bookinfo", "python", "plain", "b3"),
    *(Row("helloworld", language, "otel", "b3") for language in LANGUAGES["helloworld"]),
]
# The others are for `make test-matrix`. Python and Bookinfo are in test_forms.py and test_bookinfo.py.
FAST = ("three-tier-polyglot-otel", "helloworld-go-plain")


def rows() -> Iterator[Any]:
    for row in ROWS:
        yield pytest.param(row, id=str(row), marks=() if str(row) in FAST else (pytest.mark.matrix,))


@pytest.fixture(params=rows())
def row(request: pytest.FixtureRequest) -> Row:
    one: Row = request.param
    app = APPLICATIONS[one.application]
    for service, language in parse_languages(app, [one.language]).items():
        try:
            toolchains.command(ROOT, service, language, one.form)
        except MeshtrailError as error:
            absent(str(error))
    return one


@pytest.fixture
def mesh(row: Row) -> Iterator[RunningMesh]:
    options = ("--lang", row.language, "--form", row.form, *ROUTES.get(row.application, ()))
    options += PROVIDERS.get(row.provider, ())
    with running_mesh(row.application, *options) as running:
        yield running


def test_a_request_leaves_exactly_these_traces(row: Row, mesh: RunningMesh) -> None:
    path = APPLICATIONS[row.application].path
    begin = since = now_us()
    # A health check leaves nothing behind. What comes after it shows that all is joined from the start.
    ask(mesh, "/healthz")
    ask(mesh, path)
    (trace,) = pieces(mesh.jaeger, since, row.expected.pieces())
    assert nested_in_time(trace) == []
    seen = len(trace.spans)
    leaf = APPLICATIONS[row.application].services[-1]
    # A service that calls nobody breaks nothing, whatever it is told to forward.
    for service, mode in [*itertools.product(CALLS[row.application], JOINED[row.provider]), (leaf, "none")]:
        switch(mesh, service, mode)
        dropping = [] if JOINED[row.provider][mode] else [service]
        since = now_us()
        ask(mesh, path)
        traces = pieces(mesh.jaeger, since, row.expected.pieces(dropping))
        identities = {identity for trace in traces for identity in trace.request_ids}
        # Only `none` drops x-request-id too; each sidecar that is asked without one makes its own.
        assert len(identities) == (len(traces) if mode == "none" else 1), (service, mode)
        seen += sum(len(trace.spans) for trace in traces)
    assert late(mesh.jaeger, begin) == seen


def test_the_table_has_every_application_and_the_language_of_every_service() -> None:
    for app in APPLICATIONS.values():
        chosen = [parse_languages(app, [language]) for language in LANGUAGES[app.name]]
        written = {(service, language) for service, languages in app.languages.items() for language in languages}
        assert {pair for one in chosen for pair in one.items()} == written


def ask(mesh: RunningMesh, path: str, headers: Mapping[str, str] = MappingProxyType({})) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=15, verify=NO_TLS) as client:
        answer = client.get(mesh.gateway + path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def switch(mesh: RunningMesh, service: str, mode: str) -> None:
    found = control.call(mesh, "PUT", f"/propagation/{service}", {"mode": mode})["services"]
    assert set(found.values()) == {mode}
