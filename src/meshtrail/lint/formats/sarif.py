"""SARIF 2.1.0, with what GitHub code scanning asks for.

https://docs.oasis-open.org/sarif/sarif/v2.1.0, and GitHub's "SARIF support for code scanning": rules with text, results
with one location each, paths relative to the repository, fingerprints that survive a moved line.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from meshtrail import __version__
from meshtrail.lint.finding import Finding
from meshtrail.lint.rule import RULES, Rule
from meshtrail.lint.run import SUPPRESSION, Report

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"


def dump(report: Report) -> str:
    ids = [*RULES, SUPPRESSION]
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "meshtrail lint",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [*(_rule(rule) for rule in RULES.values()), _suppression()],
            }
        },
        "columnKind": "utf16CodeUnits",
        "results": [_result(one, ids) for one in report.findings],
        "invocations": [
            {
                "executionSuccessful": not report.problems,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": str(problem)}} for problem in report.problems
                ],
            }
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {
            "text": f"{rule.why} Mend: {rule.mend} See {rule.docs}.",
            "markdown": f"{rule.why}\n\n**Mend:** {rule.mend}\n\nSee `{rule.docs}`.",
        },
        "defaultConfiguration": {"level": rule.levels[0]},
        "properties": {"tags": ["tracing", "istio", "kubernetes"], "problem.severity": severity(rule.levels[0])},
    }


def _suppression() -> dict[str, Any]:
    text = "A suppression names no rule, gives no reason, or ignores nothing."
    return {
        "id": SUPPRESSION,
        "name": "Suppression",
        "shortDescription": {"text": "A suppression does not do what it says"},
        "fullDescription": {"text": text},
        "help": {"text": f"{text} See docs/lint.md#{SUPPRESSION}.", "markdown": f"{text} See `docs/lint.md`."},
        "defaultConfiguration": {"level": "warning"},
    }


def severity(level: str) -> str:
    """GitHub's word for a level."""
    return "recommendation" if level == "note" else level


def _result(one: Finding, ids: list[str]) -> dict[str, Any]:
    named = ": ".join(part for part in (one.object, one.field) if part)
    location: dict[str, Any] = {"artifactLocation": artifact(one.file)}
    if one.line:
        location["region"] = {"startLine": one.line}
    return {
        "ruleId": one.rule,
        "ruleIndex": ids.index(one.rule),
        "level": one.level,
        "message": {"text": f"{named}: {one.text}. Mend: {one.mend}"},
        "locations": [{"physicalLocation": location, "logicalLocations": [{"fullyQualifiedName": named}]}],
        "partialFingerprints": {"meshtrail/v1": fingerprint(one)},
    }


def artifact(file: str) -> dict[str, str]:
    """A path below the working directory, as a URI relative to the repository; any other path as it is."""
    path = PurePath(os.path.relpath(file)) if not file.startswith("<") else PurePath("stdin.yaml")
    if path.is_absolute() or ".." in path.parts:
        return {"uri": quote(PurePath(file).as_posix())}
    return {"uri": quote(path.as_posix()), "uriBaseId": ROOT}


def fingerprint(one: Finding) -> str:
    """The same for the same fault when lines move."""
    text = "\0".join((one.rule, one.file, one.object, one.field))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
