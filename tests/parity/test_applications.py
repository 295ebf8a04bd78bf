"""Every situation recorded on a cluster with our images, on the local mesh: the same answers and the same traces."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.parity import compare
from tests.parity.asking import ask_all, keyed, laid
from tests.parity.local import Local
from tests.parity.situations import API, APPLICATIONS, Application, Pairs, Request, Situation
from tests.support.documents import documents
from tests.support.mesh import running_mesh

from meshtrail.local.control import RemoteError

RECORDED = Path(__file__).parent / "recorded"


@dataclass(frozen=True)
class Place:
    """An application with these services in the otel form and in other languages: one mesh for all situations there.

    The Gateway API has one of its own, so that two workers can share the work.
    """

    application: Application
    otel: tuple[str, ...]
    languages: Pairs
    gateway_api: bool


@cache
def place(application: str, otel: tuple[str, ...], languages: Pairs, gateway_api: bool) -> Place:
    """The same object each time: by that pytest knows that a mesh can stay."""
    return Place(next(one for one in APPLICATIONS if one.name == application), otel, languages, gateway_api)


def recorded() -> Iterator[Any]:
    for application in APPLICATIONS:
        for situation in application.situations:
            gateway_api = API in situation.lay and not situation.otel
            where = place(application.name, situation.otel, situation.languages, gateway_api)
            group = pytest.mark.xdist_group(
                f"parity-{application.name}-{where.otel}-{where.languages}-{where.gateway_api}"
            )
            yield pytest.param(where, situation, id=f"{application.name}-{situation.name}", marks=group)


@pytest.fixture(scope="module")
def mesh(request: pytest.FixtureRequest) -> Iterator[Local]:
    where: Place = request.param
    forms = [f"--form={service}=otel" for service in where.otel]
    languages = [f"--lang={service}={language}" for service, language in where.languages]
    with running_mesh(where.application.name, *forms, *languages) as running:
        local = Local(running)
        yield local
        local.close()


@pytest.mark.matrix
@pytest.mark.parametrize(("mesh", "situation"), recorded(), indirect=["mesh"], scope="module")
def test_same_as_on_the_cluster(mesh: Local, situation: Situation, request: pytest.FixtureRequest) -> None:
    application = request.node.callspec.params["mesh"].application
    recording = recording_of(application, situation)
    trace = recording["client_trace"]
    given = {"trace": trace}
    if situation.differs:
        with pytest.raises(RemoteError, match="is not carried out by the local mesh"):
            mesh.lay(recording["configuration"])
        return
    mesh.lay(recording["configuration"])
    mesh.switch(dict(situation.propagation))
    mesh.forget_traces()
    answers = ask_all(mesh.gateway, [Request(**one) for one in recording["requests"]], trace)
    if situation.tolerance is None:
        expected = sum(len(trace["spans"]) for trace in recording["traces"])
        found = mesh.traces(lambda found: sum(len(trace["spans"]) for trace in found) >= expected)
        ours, theirs = (compare.shape(one, given) for one in (compare.from_jaeger(found), recording["traces"]))
        assert not compare.differences(ours, theirs)
        assert sorted(answers) == sorted(recording["responses"])
    else:
        recorded_often = dict(zip((kind(one, given) for one in recording["traces"]), recording["times"], strict=True))
        found = mesh.traces(
            lambda found: {kind(one, given) for one in compare.from_jaeger(found)} == set(recorded_often)
        )
        often = Counter(kind(one, given) for one in compare.from_jaeger(found))
        assert set(often) == set(recorded_often)
        for one, times in recorded_often.items():
            assert abs(often[one] - times) <= situation.tolerance * len(answers)


@pytest.mark.parametrize("application", APPLICATIONS, ids=lambda one: one.name)
def test_what_was_recorded_is_what_the_table_says(application: Application) -> None:
    """A situation that was edited has to be recorded again: python -m tests.parity.record --only NAME."""
    stale = []
    for situation in application.situations:
        recording = recording_of(application, situation)
        # What older recordings do not say is as it is by default.
        before = {"languages": [], **recording}
        before["requests"] = [json.loads(json.dumps(asdict(Request(**one)))) for one in recording["requests"]]
        now_said = json.loads(json.dumps(asdict(situation)))
        same = all(before[name] == now_said[name] for name in ("otel", "languages", "lay", "propagation", "requests"))
        texts = (recording["configuration"], laid(situation.lay))
        now, then = (keyed(one for text in found.values() for one in documents(text)) for found in texts)
        for one in (*now.values(), *then.values()):
            one["metadata"] = {name: value for name, value in one["metadata"].items() if not lint_only(name, value)}
        if not same or now != then:
            stale.append(situation.name)
    assert not stale
    kept = {path.stem for path in (RECORDED / application.name).glob("*.json")}
    assert kept == {situation.name for situation in application.situations}


def recording_of(application: Application, situation: Situation) -> Any:
    return json.loads((RECORDED / application.name / f"{situation.name}.json").read_text(encoding="utf-8"))


def kind(trace: dict[str, Any], given: dict[str, str]) -> str:
    """A trace as text that is the same for every trace of its kind."""
    return json.dumps(compare.shape([trace], given), sort_keys=True)


def lint_only(name: str, value: dict[str, str]) -> bool:
    """What the lint is told makes no span."""
    return name == "annotations" and set(value) == {"meshtrail.dev/lint-ignore"}
