"""The report for a person: what was looked at, each finding with evidence and mend, one line of verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime

from rich.console import Console
from rich.text import Text

from meshtrail.doctor.finding import Finding, Report
from meshtrail.reading.words import count, harmless

MAX_WIDTH = 120
MIN_WIDTH = 60
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
MARGIN = 10


def draw(console: Console, report: Report, *, source: str, since_us: int | None = None) -> None:
    """Print the report; `source` is where the traces come from, `since_us` from when on they were asked for."""
    for line in lines(report, source=source, since_us=since_us, width=console.width, encoding=console.encoding.lower()):
        console.print(line, highlight=False, soft_wrap=True, markup=False, emoji=False)


def lines(
    report: Report, *, source: str, since_us: int | None = None, width: int, encoding: str = "utf-8"
) -> Iterator[Text]:
    """The report, line by line; trace ids are whole whatever the width."""
    width = max(MIN_WIDTH, min(width, MAX_WIDTH))
    for line in _lines(report, source, since_us, width):
        plain = harmless(line.plain, encoding=encoding)
        yield line if plain == line.plain else Text(plain, line.style)


def _lines(report: Report, source: str, since_us: int | None, width: int) -> Iterator[Text]:
    looked = f"{count(report.traces, 'trace')} of {count(report.requests, 'request')} from {source}"
    about = f"{count(len(report.services), 'service')}"
    if report.traces:
        about += f", {_clock(report.first_us)} to {_clock(report.last_us)}"
    if since_us is not None:
        about += f" (asked for: since {_clock(since_us)})"
    for text in (looked, about):
        for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
            yield Text(line, "" if text is looked else "dim")
    for finding in report.findings:
        yield Text("")
        yield from _finding(finding, width)
    yield Text("")
    verdict = _verdict(report)
    for line in textwrap.wrap(verdict.plain, width, break_long_words=False, break_on_hyphens=False):
        yield Text(line, verdict.style)


def _finding(finding: Finding, width: int) -> Iterator[Text]:
    who = finding.service + (f" -> {finding.called}" if finding.called else "") or "several services"
    head = Text.assemble((f"{finding.level:<{MARGIN}}", STYLES[finding.level]), (finding.rule, "bold"))
    if len(head.plain) + 2 + len(who) <= width:
        yield head + Text(f"  {who}")
    else:
        yield head
        yield from _paragraph("", who, width)
    yield from _paragraph("", finding.text, width)
    yield from _paragraph("evidence", _evidence(finding), width)
    if finding.traces:
        yield from _paragraph("traces", " ".join(finding.traces), width)
    yield from _paragraph("mend", finding.mend, width)
    yield from _paragraph("docs", finding.docs, width)


def _evidence(finding: Finding) -> str:
    times = f"seen {count(finding.count, 'time')}" + (
        f", {_percent(finding.share)} of the cases" if finding.share else ""
    )
    why = f": {finding.reason}" if finding.reason else ""
    return f"{times}; {finding.confidence}{why}"


def _percent(share: float) -> str:
    """`0.4 %`, `37 %`, `100 %`: never a 0 or 100 that is not one."""
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    return f"{min(max(share * 100, 0.1), 99.9):.{0 if 1 <= share * 100 < 99 else 1}f} %"


def _paragraph(label: str, text: str, width: int) -> Iterator[Text]:
    wrapped = textwrap.wrap(text, width - MARGIN, break_long_words=False, break_on_hyphens=False) or [""]
    for number, line in enumerate(wrapped):
        yield Text.assemble((f"{label if not number else '':<{MARGIN}}", "dim"), line)


def _verdict(report: Report) -> Text:
    if not report.findings:
        return Text("healthy: nothing found", "green")
    numbers = [
        count(number, level)
        for level in STYLES
        if (number := sum(finding.level == level for finding in report.findings))
    ]
    if report.healthy:
        return Text(f"healthy: {numbers[0]}, no fault", "green")
    who = dict.fromkeys(finding.service for finding in report.findings if finding.level != "note" and finding.service)
    return Text(f"not healthy: {', '.join(numbers)}; look at {', '.join(who)}", "bold red")


def _clock(time_us: int) -> str:
    try:
        return datetime.fromtimestamp(time_us / 1_000_000).astimezone().isoformat(sep=" ", timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return f"{time_us} us"
