"""The report as JSON; docs/lint.md describes it."""

from __future__ import annotations

import dataclasses
import json

from meshtrail.lint.run import Report

VERSION = 1


def dump(report: Report) -> str:
    """`{"version", "clean", "objects", "files", "suppressed", "findings", "errors", "skipped"}`."""
    return json.dumps(
        {
            "version": VERSION,
            "clean": report.clean,
            "objects": report.objects,
            "files": report.files,
            "suppressed": report.suppressed,
            "findings": [dataclasses.asdict(one) for one in report.findings],
            "errors": [dataclasses.asdict(one) for one in report.problems],
            "skipped": list(report.skipped),
        },
        indent=2,
    )
