"""Every exercise, solved on the local mesh by the commands of its own page.

The check is unsatisfied before and satisfied after; each wrong turn that the page names gets the words that it names;
`reset` gives everything back.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.exercises.walking import cases, configuration, environment, local_place
from tests.support.mesh import ROOT, running_mesh, unique_name

from meshtrail.exercises.catalog import Exercise
from meshtrail.exercises.phrases import Phrases
from meshtrail.exercises.settings import Case
from meshtrail.exercises.walk import Walk

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(300)]

FOUND = list(cases("local"))
KINDS = sorted({(case.application, case.form) for _, case in FOUND})


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join((kind[0], *kind[1])))
def mesh(request: pytest.FixtureRequest) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    """One mesh for each application and form, shared by all exercises on it: `start` finds it running."""
    application, form = request.param
    options = [word for one in form for word in ("--form", one)]
    name = unique_name()
    with running_mesh(application, *options, name=name):
        yield name, request.param


def pairs() -> Iterator[object]:
    for exercise, case in FOUND:
        kind = (case.application, case.form)
        yield pytest.param(kind, exercise, case, id=f"{exercise.id}{'-' if case.name else ''}{case.name}")


@pytest.mark.parametrize(("mesh", "exercise", "case"), list(pairs()), indirect=["mesh"])
def test_it_is_solved_from_its_page(mesh: tuple[str, object], exercise: Exercise, case: Case) -> None:
    name = mesh[0]
    before = configuration(name)
    walk = Walk(
        exercise, case.name, local_place(name), ROOT, Phrases("en"), lambda _: None, environment=environment()
    )  # fmt: skip
    walked = walk.go(wrong_turns=True)
    assert walked.problems == []
    assert configuration(name) == before
    print(walked.seconds)
