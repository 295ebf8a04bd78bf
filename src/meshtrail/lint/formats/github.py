"""GitHub's workflow commands: an annotation in the pull request for each finding.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands: a message escapes `%` and line ends,
a property also `:` and `,`.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshtrail.lint.finding import Level
from meshtrail.lint.formats.text import subject
from meshtrail.lint.run import Report

COMMANDS: dict[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}


def lines(report: Report) -> Iterator[str]:
    for one in report.findings:
        message = f"{subject(one)}: {one.text}\nmend: {one.mend}\ndocs: {one.docs}"
        yield command(COMMANDS[one.level], one.file, one.line, f"meshtrail {one.rule}", message)
    for problem in report.problems:
        named = ": ".join(part for part in (problem.object, problem.field, problem.message) if part)
        message = f"{named}\nmend: {problem.mend}" if problem.mend else named
        yield command("error", problem.file, problem.line, "meshtrail cannot read", message)


def command(name: str, file: str, line: int, title: str, message: str) -> str:
    """`::error file=F,line=N,title=T::message`; a line of 0 is left out."""
    properties = {"file": file, "line": str(line) if line else "", "title": title}
    shown = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    return f"::{name} {shown}::{_message(message)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
