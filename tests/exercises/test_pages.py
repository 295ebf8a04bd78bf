"""The pages of the exercises: complete in both languages, with the same commands; words for all that a check says."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import click
import pytest
from tests.support.mesh import ROOT

from meshtrail.cli import COMMANDS, group
from meshtrail.exercises.catalog import Exercise, exercises
from meshtrail.exercises.pages import FILES, SOLUTION, read_page
from meshtrail.exercises.reading import LANGUAGES

EXERCISES = exercises(ROOT)
each = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
CYRILLIC = re.compile("[\u0400-\u04ff]")


def test_there_are_exercises() -> None:
    assert [one.number for one in EXERCISES][:3] == [1, 2, 3]


@each
def test_both_languages_hold_the_same_commands(exercise: Exercise) -> None:
    english, russian = (exercise.page(language) for language in LANGUAGES)
    told = [[replace(block, line=0) for block in page.blocks] for page in (english, russian)]
    assert told[0] == told[1]
    assert len(english.hints) == len(russian.hints)
    for page, language in ((english, "en"), (russian, "ru")):
        assert page.title == f"{exercise.number}. {exercise.settings.title[language]}"


@each
def test_each_part_says_something_in_its_language(exercise: Exercise) -> None:
    for english, russian in zip(exercise.page("en").parts, exercise.page("ru").parts, strict=True):
        assert len(english) > 20
        assert not CYRILLIC.search(english)
        assert CYRILLIC.search(russian) or not without_commands(russian)


def without_commands(part: str) -> str:
    return re.sub(r"^\s*```.*?^\s*```", "", part, flags=re.MULTILINE | re.DOTALL).strip()


@each
def test_every_case_has_a_solution_on_every_target(exercise: Exercise) -> None:
    page = exercise.page("en")
    for case in exercise.settings.cases:
        for target in case.targets:
            assert page.of("solution", target, case.name), f"{target} {case.name}"
    named = {case for block in page.blocks for case in block.cases}
    assert named <= {case.name for case in exercise.settings.cases}
    assert page.parts[SOLUTION]


def codes(exercise: Exercise) -> Iterator[tuple[str, set[str]]]:
    """What the check may say: each code with the names of its values."""
    for node in ast.walk(ast.parse(exercise.check_file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in ("done", "missing", "wrong"):
            for code in literals(node.args[0]):
                yield code, {keyword.arg or "**" for keyword in node.keywords}


def literals(node: ast.expr) -> list[str]:
    """The texts that an expression may be: a literal, or a choice between two."""
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    raise AssertionError(f"the code of what is said is not a literal: line {node.lineno}")


@each
def test_there_are_words_for_all_that_the_check_says(exercise: Exercise) -> None:
    from meshtrail.exercises.words import placeholders

    said = list(codes(exercise))
    assert {code for code, _ in said} == set(exercise.words)
    for code, values in said:
        words = exercise.words[code]
        if "**" not in values:
            assert placeholders(words.text["en"]) <= values, code
            assert placeholders(words.look.get("en", "")) <= values, code
        for text in (words.text, words.look):
            assert not CYRILLIC.search(text.get("en", ""))


@each
def test_wrong_turns_name_what_the_check_says(exercise: Exercise) -> None:
    turns = {block.code for block in exercise.page("en").blocks if block.role == "wrong"}
    assert turns <= {code for code, _ in codes(exercise)}
    assert turns, "a page names at least one wrong turn"


@each
@pytest.mark.parametrize("language", LANGUAGES)
def test_links_lead_somewhere(exercise: Exercise, language: str) -> None:
    text = (exercise.folder / FILES[language]).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (exercise.folder / link).exists()] == []


@each
def test_commands_exist_with_their_options(exercise: Exercise) -> None:
    for language in LANGUAGES:
        for block in read_page(exercise.folder / FILES[language], language).blocks:
            for line in block.commands.replace("\\\n", " ").splitlines():
                # A line inside of a quoted text need not be a command.
                for call in re.findall(r"(?:^|[|;&]\s*)meshtrail ([^|;&$()]+)", line.strip()):
                    with suppress(ValueError):
                        has_options(shlex.split(call, comments=True))


def has_options(words: list[str]) -> None:
    assert words[0] in COMMANDS, words
    command = group.get_command(click.Context(group), words[0])
    if isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words[1])
    assert command is not None, words
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if re.match(r"--?[a-z]", word):
            assert word.partition("=")[0] in known, words
