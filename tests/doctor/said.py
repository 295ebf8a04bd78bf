"""What the doctor says, short enough to compare."""

from __future__ import annotations

from collections.abc import Iterable

from tests.doctor.mesh import NAMESPACE, Mesh

from meshtrail.doctor.examine import examine
from meshtrail.doctor.finding import Finding, Report
from meshtrail.model.trace import Trace


def look(traces: Mesh | Iterable[Trace]) -> Report:
    return examine(traces.traces() if isinstance(traces, Mesh) else traces)


def said(traces: Mesh | Iterable[Trace]) -> set[tuple[str, str, str]]:
    """(rule, service, called) of each finding, notes too; the namespace left out."""
    return {_short(finding) for finding in look(traces).findings}


def only(traces: Mesh | Iterable[Trace]) -> Finding:
    """The one finding."""
    (finding,) = look(traces).findings
    return finding


def _short(finding: Finding) -> tuple[str, str, str]:
    suffix = f".{NAMESPACE}"
    return finding.rule, finding.service.removesuffix(suffix), finding.called.removesuffix(suffix)
