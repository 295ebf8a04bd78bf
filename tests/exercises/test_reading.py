"""An exercise's files: what is wrong in one is said with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshtrail.errors import MeshtrailError
from meshtrail.exercises.catalog import exercises
from meshtrail.exercises.pages import HEADINGS, read_page
from meshtrail.exercises.phrases import TEXTS, Phrases, chosen
from meshtrail.exercises.reading import ExerciseError
from meshtrail.exercises.said import done, missing
from meshtrail.exercises.settings import read_settings
from meshtrail.exercises.words import placeholders, read_words, sentence

GOOD = """title: {en: One, ru: Один}
minutes: 15
"""


def settings(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "exercise.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    found = read_settings(settings(tmp_path, GOOD))
    assert found.targets == ("local", "cluster")
    assert [(case.name, case.application, case.form) for case in found.cases] == [("", "three-tier", ())]


def test_a_case_changes_what_holds_in_general(tmp_path: Path) -> None:
    text = (
        GOOD
        + "form: otel\nscene: {propagation: {backend: none}}\ncases:\n- {name: a}\n- {name: b, form: {backend: otel}}\n"
    )
    found = read_settings(settings(tmp_path, text))
    assert [case.form for case in found.cases] == [("otel",), ("backend=otel",)]
    assert all(case.scene.propagation == {"backend": "none"} for case in found.cases)
    assert found.case("").name == "a"
    with pytest.raises(MeshtrailError, match="take one of: a, b"):
        found.case("c")


def test_a_case_may_be_for_one_target_alone(tmp_path: Path) -> None:
    found = read_settings(settings(tmp_path, GOOD + "cases:\n- {name: a}\n- {name: b, targets: [cluster]}\n"))
    assert [case.targets for case in found.cases] == [("local", "cluster"), ("cluster",)]
    assert found.targets == ("local", "cluster")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("speed: 3\n", "exercise.yaml:3: speed: unknown field"),
        ("targets: [laptop]\n", "exercise.yaml:3: targets: no target 'laptop'"),
        ("application: shop\n", "no application 'shop'"),
        ("form: {shop: otel}\n", "three-tier has no service 'shop'"),
        ("form: fast\n", "no form 'fast'"),
        ("scene: {manifests: [none.yaml]}\n", "no file or folder none.yaml"),
        ("scene: {propagation: {backend: some}}\n", "no mode 'some'"),
        ("scene: {propagation: {shop: none}}\n", "three-tier has no service 'shop'"),
        ("cases: [{name: a}, {name: a}]\n", "there are two cases 'a'"),
        ("cases: [{title: {en: a, ru: b}}]\n", "name: is missing"),
        ("cases: []\n", "must be a list of mappings"),
    ],
)
def test_a_mistake_is_said_with_its_place(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(ExerciseError) as caught:
        read_settings(settings(tmp_path, GOOD + more))
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n", "title: one\n", "title: {en: One}\nminutes: 5\n", "a: [\n"])
def test_what_is_no_exercise_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ExerciseError, match=r"exercise\.yaml"):
        read_settings(settings(tmp_path, text))


def page(tmp_path: Path, steps: str = "", hints: str = "1. Look.\n2. Look\n   again.") -> Path:
    parts = {"Steps": steps, "Hints": hints}
    text = "# 1. One\n\n" + "\n".join(f"## {name}\n\n{parts.get(name, 'Text.')}\n" for name in HEADINGS["en"])
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_page_has_its_blocks_and_hints(tmp_path: Path) -> None:
    steps = (
        "1. Do:\n\n   ```bash exit=1 case=a,b\n   meshtrail trace\n   ```\n\n"
        "```console\n$ not run\n```\n\n```bash wrong=other target=cluster\nfalse\n```\n"
    )
    found = read_page(page(tmp_path, steps), "en")
    assert found.title == "1. One"
    assert found.hints == ("Look.", "Look\nagain.")
    assert [(one.role, one.commands.strip(), one.code, one.exit) for one in found.blocks] == [
        ("step", "meshtrail trace", "", 1),
        ("wrong", "false", "other", 0),
    ]
    assert found.of("step", "local", "b")
    assert not found.of("step", "local", "c")
    assert not found.of("wrong", "local", "")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("```bash later\ntrue\n```", "README.md:13: unknown word 'later'"),
        ("```bash target=laptop\ntrue\n```", "unknown word 'target=laptop'"),
        ("```bash\ntrue\n", "has no end"),
        ("## More\n", "mind the order"),
    ],
)
def test_a_mistake_in_a_page_is_said_with_its_line(tmp_path: Path, steps: str, said: str) -> None:
    with pytest.raises(ExerciseError) as caught:
        read_page(page(tmp_path, steps), "en")
    assert said in str(caught.value)


def test_a_page_without_hints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExerciseError, match="no hints"):
        read_page(page(tmp_path, hints="None."), "en")


def words(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "words.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_words_are_filled_in_and_say_where_to_look(tmp_path: Path) -> None:
    found = read_words(words(tmp_path, "a: {en: 'n {n}', ru: 'н {n}', look: {en: 'at {where}', ru: 'в {where}'}}\n"))
    assert sentence(found, missing("a", n=["x", "y"], where=2.50), "en") == ("n x, y", "at 2.5")
    assert sentence(found, done("a", n=1, where=2), "ru") == ("н 1", "")


@pytest.mark.parametrize(
    "text", ["a: {en: b}\n", "a: {en: '{x}', ru: '{y}'}\n", "a: b\n", "a: {en: b, ru: c, de: d}\n"]
)  # fmt: skip
def test_words_that_lack_a_language_or_a_value_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ExerciseError, match=r"words\.yaml:1"):
        read_words(words(tmp_path, text))


def test_two_exercises_of_one_number_are_refused(tmp_path: Path) -> None:
    for name in ("01-a", "01-b"):
        folder = tmp_path / "exercises" / name
        folder.mkdir(parents=True)
        (folder / "exercise.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(ExerciseError, match="exercise 1 is there twice"):
        exercises(tmp_path)


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LC_ALL": "C", "LANG": "ru_RU.UTF-8"}, "en"),
        ({}, "en"),
        ({"LANG": "de"}, "en"),
    ],
)
def test_the_language_is_that_of_the_environment(environment: dict[str, str], language: str) -> None:
    assert chosen(environment) == language


def test_the_engine_says_everything_in_both_languages() -> None:
    for name, (english, russian) in TEXTS.items():
        assert placeholders(english) == placeholders(russian), name
        assert english != russian
    assert Phrases("ru")("solved") == "Решено."
