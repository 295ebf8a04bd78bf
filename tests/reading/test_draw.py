from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from tests.model.recorded import BROKEN, PARENT_OUTSIDE, WHOLE, recorded

from meshtrail.model.request import Request, group_requests
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace
from meshtrail.reading.draw import ASCII, draw, lines


def drawn(*traces: Trace, width: int = 80) -> str:
    text = []
    for request in group_requests(traces):
        text += [line.plain.rstrip() for line in lines(request, width=width)]
    return "\n".join(text)


def span(number: int, parent: int | None, *, name: str = "work", service: str = "app", **fields: object) -> Span:
    one = Span(
        "a" * 32, f"{number:016x}", None if parent is None else f"{parent:016x}", service, name, "internal", number, 10
    )
    return replace(one, **fields)  # type: ignore[arg-type]


def test_a_healthy_trace() -> None:
    text = drawn(*recorded("otlp-all")).splitlines()
    assert text[0] == "trace d0b6cc7d9c976a9d80de431940c6f81d  one trace, complete"
    assert text[1].endswith("11.90 ms  7 spans  4 services")
    assert text[2].split() == ["SPAN", "MADE", "BY", "STATUS", "0", "11.90", "ms", "MS"]
    assert text[3:] == [
        "SERVER ingressgateway frontend:3000/*      gateway 200       ██████████    11.90",
        "└ CLIENT ingressgateway → frontend:3000    gateway 200       ██████████    11.62",
        "  └ SERVER frontend:3000/*                 sidecar 200       ██████████    10.94",
        "    └ CLIENT frontend → backend:8080/*     sidecar 200       ··███████·     7.91",
        "      └ SERVER backend:8080/*              sidecar 200       ···██████·     5.61",
        "        └ CLIENT backend → database:8080/* sidecar 200       ·····███··     2.83",
        "          └ SERVER database:8080/*         sidecar 200       ······██··     0.88",
    ]


def test_a_broken_trace_says_where_in_words() -> None:
    first, second = recorded("otlp-backend-none")
    text = drawn(second, first)
    assert "request  broken in 2 pieces at backend.default" in text
    assert text.index(f"piece 1: trace {first.trace_id}, 5 spans") < text.index(f"piece 2: trace {second.trace_id}")
    rows = text.splitlines()
    (end,) = [number for number, row in enumerate(rows) if "← the headers end here: backend.default" in row]
    assert "SERVER backend:8080/*" in rows[end - 1]
    (start,) = [number for number, row in enumerate(rows) if "second root" in row]
    assert rows[start - 1].startswith("CLIENT backend → database:8080/*")
    assert "backend.default received a request" in text


def test_the_pieces_share_one_time_axis() -> None:
    rows = drawn(*recorded("otlp-backend-none")).splitlines()
    (row,) = [row for row in rows if row.startswith("CLIENT backend")]
    assert "·····" in row, "the second piece does not begin at the start of the axis"


def test_faults_of_the_mesh_are_put_in_words() -> None:
    assert "FI: fault injected" in drawn(*recorded("fault-abort"))
    assert "DI: delay injected" in drawn(*recorded("fault-delay"))
    retries = drawn(*recorded("retry"))
    assert "URX: retries exhausted" in retries
    assert retries.count("503 error") == 4


def test_orphan_second_root_and_missing_callee() -> None:
    whole = recorded("otlp-all")[0]
    no_frontend = Trace.of(one for one in whole.spans if one.name != whole.spans[2].name or one.app != "frontend")
    text = drawn(no_frontend)
    assert f"orphan: parent {whole.spans[2].span_id[:8]}… was never exported" in text
    assert "missing: no span from frontend.default" in text
    assert "broken in 2 pieces" in text
    two = Trace.of([span(1, None), span(2, None)])
    assert "second root" in drawn(two)
    assert "one trace, complete" not in drawn(two)


@pytest.mark.parametrize("situation", [situation for situation in WHOLE if situation != "retry"])
def test_no_mark_on_a_whole_trace(situation: str) -> None:
    text = drawn(*recorded(situation))
    assert "one trace, complete" in text
    for mark in ("orphan", "second root", "headers end", "missing", "ambiguous"):
        assert mark not in text


@pytest.mark.parametrize("situation", PARENT_OUTSIDE)
def test_a_root_outside_the_mesh_is_told_apart(situation: str) -> None:
    assert "(the client outside sent it)" in drawn(*recorded(situation))


@pytest.mark.parametrize("width", [60, 80, 100, 110, 150, 300])
@pytest.mark.parametrize("situation", [*BROKEN, "retry", "otlp-all"])
def test_no_line_is_wider_than_the_terminal(situation: str, width: int) -> None:
    for request in group_requests(recorded(situation)):
        assert all(cell_len(line.plain) <= width for line in lines(request, width=width))


def test_the_rows_of_all_spans_end_in_one_column() -> None:
    strange = [
        span(1, None, service="前端", name="要求 " * 30),
        span(2, 1, name="x" * 500, tags={"http.status_code": "500", "error": True}),
        span(3, 2, name=""),
    ]
    (request,) = group_requests([Trace.of(strange)])
    rows = [line.plain for line in lines(request, width=80)][3:]
    assert [cell_len(row) for row in rows] == [80, 80, 80]


def test_markup_and_control_characters_do_nothing() -> None:
    evil = span(
        1,
        None,
        name="[bold red]x[/] \x1b[2J\x1b]0;title\x07 \u202egnp.exe \r\n\x9b1m",
        service="[link=http://a]s",
        tags={"response_flags": "\x1b[31m"},
    )
    for encoding in ("utf-8", "ascii"):
        text = output([evil], encoding=encoding)
        assert not any(ord(char) < 32 and char != "\n" for char in text)
        assert not set(text) & set("\x7f\x9b\u202e")
        assert "[bold red]x[/]" in text
        assert "[link=http://a]s" in text


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=10))
def test_any_text_of_a_span_is_drawn_in_one_row(name: str, service: str, flags: str) -> None:
    one = span(1, None, name=name, service=service, tags={"response_flags": flags})
    (request,) = group_requests([Trace.of([one])])
    for line in lines(request, width=80):
        assert line.plain.isprintable()
        assert cell_len(line.plain) <= 80


@given(st.lists(st.tuples(st.integers(-(2**61), 2**61), st.integers(0, 2**61)), min_size=1, max_size=6))
def test_any_times_are_drawn(times: list[tuple[int, int]]) -> None:
    spans = [
        span(number, number - 1 or None, start_us=start, duration_us=duration)
        for number, (start, duration) in enumerate(times, 1)
    ]
    (request,) = group_requests([Trace.of(spans)])
    assert len(list(lines(request, width=80))) >= 3 + len(times)


def test_without_utf8_it_is_drawn_in_ascii() -> None:
    text = output(recorded("otlp-backend-none")[0].spans, encoding="ascii")
    assert text.isascii()
    assert "`-CLIENT ingressgateway -> frontend:3000" in text
    request = group_requests(recorded("otlp-backend-none"))[0]
    plain = "\n".join(line.plain for line in lines(request, width=80, signs=ASCII, encoding="ascii"))
    assert "<- the headers end here: backend.default" in plain
    assert plain.isascii()


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    spans = recorded("fault-abort")[0].spans
    assert "\x1b" not in output(spans)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[31m" in output(spans, terminal=True)
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in output(spans, terminal=True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in output(spans, terminal=True)


def test_a_deep_tree_is_drawn_one_cell_a_level() -> None:
    """Gateway, three sidecars and three instrumented applications: 15 levels, and the last is still readable at 80."""
    spans = [span(number, number - 1 or None, name=f"level {number}") for number in range(1, 16)]
    rows = drawn(Trace.of(spans)).splitlines()[3:]
    assert rows[1].startswith("└INTERNAL app level 2 ")
    assert rows[14].startswith(" " * 13 + "└INTERNAL app level 15 ")
    assert not any("…" in row for row in rows)


def test_ten_thousand_spans_and_a_depth_of_a_thousand() -> None:
    wide = [span(1, None), *(span(number, 1) for number in range(2, 9_001))]
    deep = [span(number, 1 if number == 10_001 else number - 1) for number in range(10_001, 11_001)]
    text = output([*wide, *deep])
    assert len(text.splitlines()) == 3 + 10_000
    assert "…999 INTERNAL" in text
    assert max(map(cell_len, text.splitlines())) <= 80


def output(spans: object, *, encoding: str = "utf-8", terminal: bool | None = None) -> str:
    """What really is written to a file of that encoding."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=file, width=80, force_terminal=terminal)
    draw(console, [Request((Trace.of(spans),))])  # type: ignore[arg-type]
    file.flush()
    return raw.getvalue().decode(encoding)
