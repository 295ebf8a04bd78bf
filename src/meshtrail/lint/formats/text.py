"""The report for a person, in lines that editors and terminals can follow: `FILE:LINE: level rule: ...`."""

from __future__ import annotations

from collections.abc import Iterator

from meshtrail.lint.finding import Finding
from meshtrail.lint.run import Report


def lines(report: Report) -> Iterator[tuple[str, str]]:
    """Each line with the level that it is of; "" for none."""
    for one in report.findings:
        yield one.level, f"{place(one)}: {one.level} {one.rule}: {subject(one)}: {one.text}"
        yield "", f"    mend: {one.mend}"
        yield "", f"    docs: {one.docs}"
    for name in report.skipped:
        yield "", f"not looked at: {name} is a Helm chart; helm template {name} | meshtrail lint -"
    yield "", summary(report)


def place(one: Finding) -> str:
    return f"{one.file}:{one.line}" if one.line else one.file


def subject(one: Finding) -> str:
    """Object and field; the kustomization too, when a patch or the kustomization itself set the field."""
    named = ": ".join(part for part in (one.object, one.field) if part)
    return f"{named} (set there for {one.kustomization})" if one.patched and one.kustomization else named


def summary(report: Report) -> str:
    counted = ((report.count("error"), "error"), (report.count("warning"), "warning"), (report.count("note"), "note"))
    found = ", ".join(f"{count} {word}{'s' if count > 1 else ''}" for count, word in counted if count)
    ignored = f", {report.suppressed} ignored" if report.suppressed else ""
    files = f"{report.files} file{'s' if report.files != 1 else ''}"
    return f"{report.objects} objects of {files}: {found or 'nothing found'}{ignored}"
