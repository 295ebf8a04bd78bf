"""The exercises on a cluster, solved by the commands of their own pages, in a namespace of the test's own.

Here the first case of some, one of each application and way of mending; with MESHTRAIL_EVERYTHING=1 every case of every
exercise, with every wrong turn.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.support import EVERYTHING, kubectl, namespace, require_cluster
from tests.exercises.walking import cases
from tests.support.mesh import ROOT

from meshtrail.cluster import keeping
from meshtrail.cluster.kubectl import connect
from meshtrail.cluster.session import Where
from meshtrail.exercises.catalog import Exercise
from meshtrail.exercises.cluster import ClusterPlace
from meshtrail.exercises.phrases import Phrases
from meshtrail.exercises.settings import Case
from meshtrail.exercises.touching import touched
from meshtrail.exercises.walk import Walk

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


LANDING = {1, 3, 6, 9, 12}
"""Those of every landing, which should not take longer for all of them."""


def chosen() -> list[tuple[Exercise, Case]]:
    """Those of one application together: another one has to be deployed first."""
    found = [
        (one, case)
        for one, case in cases("cluster")
        if EVERYTHING or (one.number in LANDING and case is one.settings.cases[0])
    ]
    return sorted(found, key=lambda pair: (pair[1].application, pair[1].form, pair[0].number))


FOUND = chosen()


@pytest.fixture(scope="module")
def place_name() -> Iterator[str]:
    require_cluster()
    with namespace("mt-exercises") as name:
        yield name


@pytest.mark.parametrize(
    ("exercise", "case"), FOUND, ids=[f"{one.id}{'-' if case.name else ''}{case.name}" for one, case in FOUND]
)
def test_it_is_solved_from_its_page(place_name: str, exercise: Exercise, case: Case) -> None:
    where = Where(namespace=place_name)
    kube = connect()
    deploy(case, place_name)
    before = keeping.snapshot(kube, place_name, touched(exercise))
    with ClusterPlace(where, root=ROOT, phrases=Phrases("en")) as place:
        walk = Walk(exercise, case.name, place, ROOT, Phrases("en"), lambda _: None, environment={"NO_COLOR": "1"})
        walked = walk.go(wrong_turns=EVERYTHING)
    print(walked.seconds)
    assert walked.problems == []
    after = keeping.snapshot(kube, place_name, touched(exercise))
    assert {keeping.identity(one): one for one in after} == {keeping.identity(one): one for one in before}


def deploy(case: Case, name: str) -> None:
    """The case's application in its form, so that there is something to give back; the one before goes."""
    labels = kubectl("-n", name, "get", "deployments", "-o", "jsonpath={.items[*].metadata.labels}", status=None)
    if labels and case.application not in labels:
        kubectl("-n", name, "delete", "deployments,services,virtualservices,gateways.networking.istio.io", "--all")
    with ClusterPlace(Where(namespace=name), root=ROOT, phrases=Phrases("en")) as place:
        place.prepare(case, (), lambda _: None, lambda _: None, None)
