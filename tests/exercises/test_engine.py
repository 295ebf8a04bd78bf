"""The command line of the exercises on a real mesh: what is started, what is remembered, what is given back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.exercises.walking import configuration
from tests.support.mesh import ROOT, alive, eventually, running_mesh, unique_name

from meshtrail.cli import group
from meshtrail.errors import MeshtrailError
from meshtrail.exercises import progress
from meshtrail.exercises.catalog import Check, Exercise
from meshtrail.exercises.said import Said
from meshtrail.local import state


@pytest.fixture(scope="module")
def mesh() -> Iterator[str]:
    name = unique_name()
    with running_mesh(name=name):
        yield name


@pytest.fixture
def name(mesh: str) -> Iterator[str]:
    """A mesh with no exercise started before and after."""
    yield mesh
    exercise("reset", name=mesh)
    progress.path_of(f"local-{mesh}").unlink(missing_ok=True)


def exercise(*words: str, name: str, status: int = 0, language: str = "en") -> Result:
    """The command in this process, which is quicker; its exit status must be `status`."""
    return called("exercise", *words, "--name", name, "--language", language, status=status)


def failed(*words: str, name: str) -> str:
    """What is said when a command could not do it: exit status 2."""
    return str(exercise(*words, name=name, status=2).exception)


def called(*words: str, status: int = 0) -> Result:
    done = CliRunner().invoke(group, words, standalone_mode=False, prog_name="meshtrail")
    told = done.return_value if isinstance(done.return_value, int) else 0
    if isinstance(done.exception, MeshtrailError):
        told = done.exception.exit_status
    elif done.exception is not None:
        raise done.exception
    assert told == status, f"{words}: {told}\n{done.output}{done.exception or ''}"
    return done


def states(name: str) -> dict[str, str]:
    lines = exercise("list", name=name).stdout.splitlines()
    return {line.split()[0]: line.rpartition("  ")[2].strip() for line in lines}


def test_an_exercise_from_start_to_reset(name: str) -> None:
    before = configuration(name)
    assert "not started" in failed("check", "3", name=name)
    assert "README.md" in exercise("start", "3", "backend", name=name).stdout
    assert states(name)["3"] == "started"
    unsolved = json.loads(exercise("check", "break-propagation", "--json", name=name, status=1).stdout)
    assert not unsolved["solved"]
    assert {thing["code"] for thing in unsolved["said"]} == {"seen", "not-named", "still-broken"}
    assert all(thing["look"] for thing in unsolved["said"] if thing["state"] != "done")
    # The answer is remembered, and the mend is seen on the next request.
    exercise("check", "3", "--answer", "backend", name=name, status=1)
    called("propagation", "backend", "all", "--name", name)
    solved = exercise("check", "3", name=name).stdout
    assert solved.rstrip().endswith("Solved.")
    assert states(name)["3"] == "started, solved"
    exercise("reset", name=name)
    assert "nothing to reset" in exercise("reset", name=name).stdout
    assert configuration(name) == before
    assert states(name)["3"] == "solved"


def test_a_start_over_another_exercise_resets_that_one(name: str) -> None:
    before = configuration(name)
    exercise("start", "1", name=name)
    assert configuration(name) != before
    told = exercise("start", "3", name=name).stderr
    assert "01-one-trace is reset first" in told
    assert configuration(name)["objects"] == before["objects"]
    assert "03-break-propagation is" in failed("check", "1", name=name)


def test_hints_come_one_after_the_other(name: str) -> None:
    first = exercise("hint", "3", name=name).stdout
    assert first.startswith("Hint 1 of 3")
    assert exercise("hint", "3", "--again", name=name).stdout == first
    assert exercise("hint", "3", name=name).stdout.startswith("Hint 2 of 3")
    last = exercise("hint", "3", name=name).stdout
    assert "exercise solve 3" in last
    assert exercise("hint", "3", name=name).stdout == last
    assert exercise("hint", "3", "--all", name=name).stdout.count("Hint") == 3


def test_an_interrupted_start_is_said_and_reset(name: str) -> None:
    before = configuration(name)
    exercise("start", "1", name=name)
    key = f"local-{name}"
    kept = progress.read(key)
    assert kept.current is not None
    progress.write(key, progress.Progress(current=progress.Current("01-one-trace", "", kept.current.before)))
    assert "was interrupted" in failed("check", "1", name=name)
    exercise("reset", name=name)
    assert configuration(name) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("start", "99"), "no exercise '99'"),
        (("start", "3", "gateway"), "take one of: frontend, backend"),
        (("solve", "2"), "exercise 2 is not started"),
    ],
)
def test_what_is_not_there_is_said(name: str, words: tuple[str, ...], said: str) -> None:
    assert said in failed(*words, name=name)


def test_a_check_that_breaks_off_is_not_a_no(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: dict[str, list[Said]] = {}

    def broken(_: Exercise) -> Check:
        return lambda room: nothing[room.case]

    exercise("start", "1", name=name)
    monkeypatch.setattr(Exercise, "check", broken)
    said = failed("check", "1", name=name)
    assert "the check of exercise 1 broke off at " in said
    assert "test_engine.py" in said
    assert "KeyError('')" in said


def test_the_texts_are_russian_where_they_shall_be(name: str) -> None:
    assert "сбрасывать нечего" in exercise("reset", name=name, language="ru").stdout


def test_a_mesh_that_died_leaves_nothing_to_give_back() -> None:
    name = unique_name()
    with running_mesh("helloworld", name=name) as running:
        key = f"local-{name}"
        before: dict[str, object] = {"hand": None, "options": {}}
        progress.write(key, progress.Progress(current=progress.Current("01-one-trace", "", before, ready=True)))
        os.kill(running.pid, signal.SIGKILL)
        eventually(lambda: not alive(running.pid))
        assert "no mesh named" in failed("check", "1", name=name)
        assert "nothing to give back" in exercise("reset", name=name).stderr
        assert progress.read(key).current is None


@pytest.mark.matrix
def test_a_mesh_of_other_settings_is_replaced_and_started_again() -> None:
    name = unique_name()
    with running_mesh("helloworld", "--form", "otel", name=name):
        before = configuration(name)
        told = exercise("start", "3", name=name).stderr
        assert "runs helloworld --form otel" in told
        assert state.load(name).application == "three-tier"
        exercise("start", "1", name=name)
        exercise("reset", name=name)
        assert state.load(name).application == "helloworld"
        assert comparable(configuration(name)) == comparable(before)


def comparable(found: dict[str, object]) -> dict[str, object]:
    """Without the Envoys' files: they hold addresses, which a new mesh chooses anew."""
    return {key: value for key, value in found.items() if key != "envoys"}


def test_handouts_stand_alone(tmp_path: Path) -> None:
    called("workshop", "handouts", "--out", str(tmp_path / "p"), "--language", "en")
    called("workshop", "handouts", "--out", str(tmp_path / "t"), "--trainer", "--language", "ru")
    sheet = (tmp_path / "p" / "03-break-propagation.html").read_text(encoding="utf-8")
    trainers = (tmp_path / "t" / "03-break-propagation.html").read_text(encoding="utf-8")
    assert "<h2>Steps</h2>" in sheet
    assert "Notes" in sheet
    for left_out in ("Solution", "Hints", "Wrong turns", "named-the-called"):
        assert left_out not in sheet
    assert "<h2>Решение</h2>" in trainers
    for page in (sheet, trainers):
        assert "<script" not in page
        assert "http://" not in page.replace("http://127.0.0.1", "")
        assert "href=" not in page
    assert len(list((tmp_path / "p").glob("*.html"))) == len(list((ROOT / "exercises").glob("[0-9]*"))) + 1
