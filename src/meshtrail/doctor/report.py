"""The report as JSON: the stable shape of `meshtrail doctor --json`, described in docs/doctor.md.

Fields may be added; `version` changes when one is taken away or changes its meaning.
"""

from __future__ import annotations

from typing import Any

from meshtrail.doctor.finding import Finding, Report

VERSION = 1


def as_json(report: Report, *, source: str = "") -> dict[str, Any]:
    """Ready for json.dumps."""
    return {
        "version": VERSION,
        "healthy": report.healthy,
        "source": source,
        "traces": report.traces,
        "requests": report.requests,
        "first_us": report.first_us,
        "last_us": report.last_us,
        "services": list(report.services),
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "level": finding.level,
        "service": finding.service,
        "called": finding.called,
        "text": finding.text,
        "confidence": finding.confidence,
        "reason": finding.reason,
        "share": round(finding.share, 4),
        "count": finding.count,
        "traces": list(finding.traces),
        "mend": finding.mend,
        "docs": finding.docs,
    }
