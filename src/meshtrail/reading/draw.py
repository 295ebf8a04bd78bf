"""Draw one request in the terminal: a line a span, as a tree, with bars on one time axis.

The drawing is made of `rich.text.Text` lines, so nothing that a span says is taken for markup, and what a terminal
would obey is taken out first. Without colours every mark is still there in words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from meshtrail.model.request import Request
from meshtrail.model.span import Span
from meshtrail.model.trace import Node, Trace
from meshtrail.reading.marks import Marks
from meshtrail.reading.words import clock, count, harmless, label, milliseconds

MIN_WIDTH = 60
MIN_BAR = 10
MAX_BAR = 60
STATUS_WIDTH = 9
MS_WIDTH = 8
WIDE = 110


@dataclass(frozen=True, slots=True)
class Signs:
    """The characters of a drawing; the second set is for terminals that cannot write the first."""

    branch: str
    last: str
    pipe: str
    bar: str
    track: str
    to: str
    back: str
    ellipsis: str


UTF8 = Signs("├ ", "└ ", "│ ", "█", "·", "→", "←", "…")
ASCII = Signs("|-", "`-", "| ", "#", ".", "->", "<-", "..")


def draw(console: Console, requests: Iterable[Request]) -> None:
    """Print each request, a blank line between two."""
    utf8 = console.encoding.lower().startswith("utf")
    encoding = "utf-8" if utf8 else console.encoding
    for number, request in enumerate(requests):
        if number:
            console.print()
        for line in lines(request, width=console.width, signs=UTF8 if utf8 else ASCII, encoding=encoding):
            console.print(line, highlight=False, soft_wrap=True, markup=False, emoji=False)


def lines(request: Request, *, width: int, signs: Signs = UTF8, encoding: str = "utf-8") -> Iterator[Text]:
    """The drawing, line by line, each at most `width` cells wide (at least 60)."""
    drawing = _Drawing(request, max(width, MIN_WIDTH), signs, encoding)
    yield from drawing.header()
    yield from drawing.columns()
    for number, trace in enumerate(request.traces, 1):
        if len(request.traces) > 1:
            yield drawing.piece(trace, number)
        yield from drawing.tree(trace)
    yield from drawing.explanation()


class _Drawing:
    def __init__(self, request: Request, width: int, signs: Signs, encoding: str) -> None:
        self.request = request
        self.width = width
        self.signs = signs
        self.encoding = encoding
        self.marks = Marks(request, arrow=signs.back, ellipsis=signs.ellipsis)
        self.makers = {"application": "application" if width >= WIDE else "app"}
        self.maker_width = 11 if width >= WIDE else 7
        rest = width - self.maker_width - STATUS_WIDTH - MS_WIDTH - 4
        # A tree that would fill half its column with indentation is drawn one cell a level.
        self.step = 2 if 2 * max(trace.depth for trace in request.traces) <= (rest - MIN_BAR) // 2 else 1
        self.bar_width = min(MAX_BAR, max(MIN_BAR, rest - self._wanted_tree_width(rest - MIN_BAR)))
        self.tree_width = rest - self.bar_width
        self.max_depth = self.tree_width // 2 // self.step

    def _wanted_tree_width(self, limit: int) -> int:
        widest = 0
        for trace in self.request.traces:
            for node in trace.walk():
                if widest >= limit:
                    return limit
                widest = max(widest, node.depth * self.step + cell_len(self._what(node.span)))
        return widest

    def header(self) -> Iterator[Text]:
        request = self.request
        good = request.complete
        title = f"trace {request.traces[0].trace_id}" if len(request.traces) == 1 else "request"
        yield Text.assemble(
            (title, "bold"),
            "  ",
            (self._cut(request.summary, self.width - len(title) - 2), "green" if good else "bold red"),
        )
        facts = (
            clock(request.start_us),
            f"{milliseconds(request.duration_us)} ms",
            count(request.span_count, "span"),
            count(len(request.services), "service"),
        )
        yield Text(self._cut("  ".join(facts), self.width), "dim")

    def columns(self) -> Iterator[Text]:
        end = f"{milliseconds(self.request.duration_us)} ms"
        axis = "0" + end.rjust(self.bar_width - 1) if len(end) < self.bar_width - 1 else end.rjust(self.bar_width)
        yield Text(self._row("SPAN", "MADE BY", "STATUS", axis[: self.bar_width], "MS"), "dim")

    def piece(self, trace: Trace, number: int) -> Text:
        spans = count(len(trace.spans), "span")
        return Text(self._cut(f"piece {number}: trace {trace.trace_id}, {spans}", self.width), "bold")

    def tree(self, trace: Trace) -> Iterator[Text]:
        more: list[bool] = []
        for node in trace.walk():
            del more[node.depth :]
            more.append(not node.last)
            yield self._span_line(node, more)
            under = self._guides(more[1:], node.depth) + (self.signs.pipe if node.children else "  ")[: self.step]
            for mark in self.marks.of(trace, node.span, node.children):
                yield self._mark_line(mark, under.ljust(len(under) + 2 - self.step))

    def explanation(self) -> Iterator[Text]:
        for broken in self.request.breaks:
            yield Text("")
            for line in textwrap.wrap(harmless(broken.text, encoding=self.encoding), self.width):
                yield Text(line)

    def _span_line(self, node: Node, more: list[bool]) -> Text:
        span = node.span
        if node.depth == 0:
            guides = ""
        elif node.depth <= self.max_depth:
            own = self.signs.last if node.last else self.signs.branch
            guides = self._guides(more[1:-1], node.depth) + own[: self.step]
        else:
            guides = self._guides(more[1:], node.depth)
        what = guides + self._what(span)
        status = " ".join(part for part in (str(span.http_status or ""), "error" if span.error else "") if part)
        maker = self.makers.get(span.maker, span.maker)
        row = self._row(what, maker, status, self._bar(span), milliseconds(span.duration_us))
        line = Text(row)
        if span.error:
            line.stylize("red")
        start = len(self._fit(what, self.tree_width)) + 1 + self.maker_width + 1 + STATUS_WIDTH + 1
        line.stylize(_bar_style(span), start, start + self.bar_width)
        return line

    def _mark_line(self, mark: str, guides: str) -> Text:
        text = harmless(mark, encoding=self.encoding)
        line = Text(guides)
        line.append(self._cut(text, self.width - cell_len(guides)), "bold yellow")
        return line

    def _what(self, span: Span) -> str:
        kind = "SPAN" if span.kind == "unspecified" else span.kind.upper()
        text = label(span, arrow=self.signs.to)
        if self.width < WIDE:
            text = text.removeprefix("istio-")
        return harmless(f"{kind} {text}", encoding=self.encoding)

    def _guides(self, more: list[bool], depth: int) -> str:
        """The verticals left of a line; a tree too deep for the column says its depth in a number instead."""
        if depth > self.max_depth:
            return f"{self.signs.ellipsis}{depth} "
        return "".join((self.signs.pipe if follows else "  ")[: self.step] for follows in more)

    def _bar(self, span: Span) -> str:
        total = max(1, self.request.duration_us)
        cells = self.bar_width
        begin = min(cells - 1, (span.start_us - self.request.start_us) * cells // total)
        end = (span.end_us - self.request.start_us) * cells / total
        length = max(1, min(cells - begin, round(end) - begin))
        return self.signs.track * begin + self.signs.bar * length + self.signs.track * (cells - begin - length)

    def _row(self, what: str, maker: str, status: str, bar: str, duration: str) -> str:
        left = self._fit(what, self.tree_width)
        maker = f"{maker[: self.maker_width]:<{self.maker_width}}"
        return f"{left} {maker} {status:<{STATUS_WIDTH}} {bar} {duration:>{MS_WIDTH}}"

    def _cut(self, text: str, width: int) -> str:
        """At most `width` cells; what is cut shows as an ellipsis."""
        if cell_len(text) <= width:
            return text
        return set_cell_size(text, width - len(self.signs.ellipsis)) + self.signs.ellipsis

    def _fit(self, text: str, width: int) -> str:
        """Exactly `width` cells."""
        return set_cell_size(self._cut(text, width), width)


def _bar_style(span: Span) -> str:
    if span.error:
        return "red"
    return {"gateway": "magenta", "sidecar": "cyan", "application": "green"}[span.maker]
