"""What is wrong at a span, in words: the lines that the drawing puts under it."""

from __future__ import annotations

from meshtrail.model.request import Request
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace
from meshtrail.reading.words import called_host, flag_text


class Marks:
    """Answers for each span of one request; `arrow` points left at a break (`<-` or its UTF-8 form)."""

    def __init__(self, request: Request, *, arrow: str, ellipsis: str) -> None:
        self._arrow = arrow
        self._ellipsis = ellipsis
        self._ends: dict[tuple[str, str], str] = {}
        self._starts: dict[tuple[str, str], str] = {}
        for broken in request.breaks:
            may = "" if broken.certain else "may "
            for span in broken.received:
                self._ends[span.trace_id, span.span_id] = f"the headers {may}end here: {broken.service}"
            started = broken.started
            self._starts[started.trace_id, started.span_id] = (
                "second root: called without the tracing headers"
                if broken.certain
                else f"second root: ambiguous which of {len(broken.received)} requests called without the headers"
            )

    def of(self, trace: Trace, span: Span, children: int) -> list[str]:
        """Marks of `span`, the most telling first; empty when there is nothing to say."""
        key = (span.trace_id, span.span_id)
        marks = []
        if started := self._starts.get(key):
            marks.append(started)
        elif span.parent_id is None and trace.roots[0] is not span:
            marks.append("second root")
        if span.parent_id is not None and trace.parent_of(span) is None:
            marks.append(self._orphan(trace, span))
        marks.extend(flag_text(flag) for flag in span.response_flags)
        if not children and (missing := _missing(span)):
            marks.append(missing)
        if ended := self._ends.get(key):
            marks.append(f"{self._arrow} {ended}")
        return marks

    def _orphan(self, trace: Trace, span: Span) -> str:
        parent = f"{(span.parent_id or '')[:8]}{self._ellipsis}"
        if any(other.span_id == span.parent_id for other in trace.spans):
            return f"orphan: its parent {parent} is below itself"
        if span.maker == "gateway" and span.kind == "server":
            return f"orphan: parent {parent} was never exported (the client outside sent it)"
        return f"orphan: parent {parent} was never exported"


def _missing(span: Span) -> str | None:
    """A sidecar reached a service of the cluster, and no span came from there."""
    if span.kind != "client" or not span.by_proxy or span.response_flags or span.http_status is None:
        return None
    host = called_host(span)
    return f"missing: no span from {host} (no sidecar there, or not exported)" if host else None
