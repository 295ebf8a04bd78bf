"""Every application, form, language and provider, each service that forwards switched to each mode, under concurrent
load: the doctor names exactly that service and rule. And two culprits at once, and healthy requests by the hundred.

One mesh for each application, form, language and provider; its services are switched while it runs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator

import pytest
from tests.doctor.matrix import Named, Run, now_us, read
from tests.e2e.test_matrix import CALLS, JOINED, PROVIDERS, ROWS, Row, switch
from tests.support.absent import absent
from tests.support.mesh import ROOT, eventually, meshtrail, running_mesh

from meshtrail.errors import MeshtrailError
from meshtrail.local import toolchains
from meshtrail.local.applications import APPLICATIONS, parse_languages
from meshtrail.local.state import RunningMesh

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(300)]

SETTLED_US = 1_500_000
NAMESPACE = "meshtrail"


@pytest.fixture(params=ROWS, ids=str)
def row(request: pytest.FixtureRequest) -> Row:
    one: Row = request.param
    for service, language in parse_languages(APPLICATIONS[one.application], [one.language]).items():
        try:
            toolchains.command(ROOT, service, language, one.form)
        except MeshtrailError as error:
            absent(str(error))
    return one


@pytest.fixture
def mesh(row: Row) -> Iterator[RunningMesh]:
    options = ("--lang", row.language, "--form", row.form, *PROVIDERS.get(row.provider, ()))
    with running_mesh(row.application, *options) as running:
        yield running


def culprits(row: Row, switched: Iterable[tuple[str, str]]) -> set[Named]:
    """What the doctor must say when these services have these modes: of each service that it calls."""
    rules = {"none": "headers-dropped", "b3": "format-mismatch", "w3c": "format-mismatch"}
    return {
        (rules[mode], f"{service}.{NAMESPACE}", f"{called}.{NAMESPACE}")
        for service, mode in switched
        if not JOINED[row.provider][mode]
        for called in CALLS[row.application].get(service, ())
    }


def test_the_doctor_names_exactly_who_broke_what(row: Row, mesh: RunningMesh) -> None:
    app = APPLICATIONS[row.application]
    forwarding = list(CALLS[app.name])
    leaf = app.services[-1]
    run = Run(mesh.gateway + app.path)
    run.send("warm", count=16)
    run.stretches.clear()
    run.send("healthy", count=400)
    said = json.loads(meshtrail("doctor", "--name", mesh.name, "--since", "1h", "--json").stdout)
    assert (said["healthy"], said["findings"]) == (True, [])
    assert said["requests"] >= 400
    for service, mode in [*itertools.product(forwarding, ("none", "b3", "w3c")), (leaf, "none")]:
        switch(mesh, service, mode)
        run.send(f"{service} {mode}", culprits(row, [(service, mode)]))
        switch(mesh, service, "all")
    for modes in [("none", "none"), ("none", "b3"), ("w3c", "none")] if len(forwarding) > 1 else []:
        both = list(zip(forwarding, modes, strict=True))
        for service, mode in both:
            switch(mesh, service, mode)
        run.send(f"both {modes}", culprits(row, both))
    for service in forwarding:
        switch(mesh, service, "all")
    run.send("mended")
    end_us = now_us()
    eventually(lambda: now_us() > end_us + SETTLED_US, what="spans are there")
    assert run.wrong(read(mesh.jaeger, since_us=run.start_us)) == []
