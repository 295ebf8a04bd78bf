"""The pages: their links lead somewhere, their commands and make targets exist, with the options that they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from meshtrail.cli import COMMANDS, group

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("k8s/*.md"),
        *ROOT.glob("istio/*.md"),
        *ROOT.glob("exercises/**/*.md"),
    ]
)


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code_of(page: Path) -> Iterator[str]:
    """Inline code and the lines of shell blocks, prompts and comments taken off."""
    text = page.read_text()
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language in ("sh", "bash", "console", "shell"):
            for line in block.replace("\\\n", " ").splitlines():
                yield re.sub(r"\s#\s.*", "", line.removeprefix("$ ")).strip()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def meshtrail_commands(page: Path) -> list[str]:
    """Calls of `meshtrail COMMAND ...`, in a pipeline too; not the module `meshtrail.x` nor the bare word."""
    found = []
    for code in code_of(page):
        for part in re.split(r"[|;]|&&", code):
            words = part.strip().removeprefix(".venv/bin/").removeprefix("python -m ")
            if words.startswith("meshtrail ") and words.split()[1] in COMMANDS:
                found.append(words)
    return found


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_exist_with_their_options(page: Path) -> None:
    for call in meshtrail_commands(page):
        # [OPTIONAL] and placeholders such as FILE are how a page writes a form of a command.
        words = shlex.split(re.sub(r"[\[\]]|\.\.\.", " ", call), comments=True)[1:]
        command = group.get_command(click.Context(group), words[0])
        assert command is not None
        if isinstance(command, click.Group) and len(words) > 1:
            command = command.get_command(click.Context(command), words[1])
            assert command is not None, f"{page_id(page)}: `{call}`: no command {words[1]}"
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        known |= {"-h", "--help"}
        for word in words[1:]:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in known, f"{page_id(page)}: `{call}`: no option {word}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {match for code in code_of(page) for match in re.findall(r"^make ([a-z-]+)", code)}
    assert named <= targets


def test_there_is_something_to_check() -> None:
    assert len([call for page in PAGES for call in meshtrail_commands(page)]) > 15


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"meshtrail {name}" not in text and f"make {name}" not in text] == []
